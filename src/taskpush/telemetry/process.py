"""What the operating system knows of this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int:
    """The memory that it holds. Source: proc(5), the second field of `statm`."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
