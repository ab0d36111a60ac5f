"""What `--json-lines` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO


def print_json_line(stream: TextIO, value: Mapping[str, Any]) -> None:
    """The value as one line of JSON, written at once."""
    print(json.dumps(value, ensure_ascii=False), file=stream, flush=True)
