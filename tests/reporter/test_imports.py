"""A program that reports loads no server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.client.test_imports import SERVER_PARTS

# How a handler reports is how a reporter does.
SHARED = {"taskpush.runner"}
SCRIPT = """
import json, sys
from taskpush import Reporter
print(json.dumps(list(sys.modules)))
"""


def test_importing_the_reporter_loads_no_part_of_the_server() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, env=dict(os.environ)
    )
    assert not (set(SERVER_PARTS) - SHARED) & set(json.loads(ran.stdout))
