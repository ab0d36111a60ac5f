"""Creates a second: stored and durable with us, checked and answered with the bare route."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from bench.adapters.base import Server
from bench.adapters.taskpush import Taskpush
from bench.processes import HOST
from bench.scenarios.base import Measurement, Sizes

CALLERS: Final = 32
WARM: Final = 200
CREATED: Final = b"HTTP/1.1 201"


def creates(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """Tasks that run later, so that nothing but the creates is measured; then ones that run."""
    with kind(folder) as server:
        if not isinstance(server, Taskpush):
            body = {"kind": "nothing", "params": {}}
            return _measured(server, "/things", body, sizes.creates)
        later = datetime.now(UTC) + timedelta(days=1)
        body = {"kind": "nothing", "params": {}}
        stored = _measured(
            server, "/api/tasks", body | {"run_at": later.isoformat()}, sizes.creates
        )
        run = _measured(server, "/api/tasks", body, sizes.creates)
        return {**stored, "created_and_run_per_s": run["creates_per_s"]}


def _measured(
    server: Server, path: str, body: dict[str, Any], count: int
) -> dict[str, float | bool]:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    request = head.encode() + content
    asyncio.run(_call(server.port, request, WARM))
    cpu_s, started = server.process.cpu_s(), time.monotonic()
    took_s = asyncio.run(_call(server.port, request, count))
    clock_s = time.monotonic() - started
    cuts = quantiles(took_s, n=100)
    return {
        "exact": len(took_s) == count,
        "creates_per_s": count / clock_s,
        "cpu_us_per_create": (server.process.cpu_s() - cpu_s) * 1e6 / count,
        "latency_p50_ms": cuts[49] * 1000,
        "latency_p99_ms": cuts[98] * 1000,
    }


async def _call(port: int, request: bytes, count: int) -> list[float]:
    """So many calls by several callers; the seconds each took."""
    took_s: list[float] = []
    left = iter(range(count))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for _ in left:
            started = time.monotonic()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(CREATED):
                raise RuntimeError(f"not created: {answer[:200]!r}")
            length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            took_s.append(time.monotonic() - started)
        writer.close()

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    return took_s
