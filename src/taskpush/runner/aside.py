"""Params are read where that holds nobody up: their validators may open files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from taskpush.runner.uploads import Uploads

Read = TypeVar("Read")


async def read_aside(
    read: Callable[[Mapping[str, Any], Uploads], Read], params: Mapping[str, Any], uploads: Uploads
) -> Read:
    """`read(params, uploads)`: on a thread when there are files, else here."""
    return await asyncio.to_thread(read, params, uploads) if uploads else read(params, uploads)
