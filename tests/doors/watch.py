"""The watch program of the Python clients: `watch async|sync URL TASK_ID --door DOOR [--after P]`.

Prints a JSON line for each item, and last how it ended. `--door auto` leaves the choice to the
client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

from taskpush.client import (
    DOORS,
    AsyncClient,
    Client,
    ClientError,
    Door,
    RequestRefused,
    WatchItem,
)


def main() -> None:
    """Watch one task to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=("async", "sync"))
    parser.add_argument("url")
    parser.add_argument("task_id")
    parser.add_argument("--door", choices=(*DOORS, "auto"), required=True)
    parser.add_argument("--after")
    options = parser.parse_args()
    doors = DOORS if options.door == "auto" else (options.door,)
    given = (options.url, options.task_id, doors, options.after)
    try:
        run = watch if options.client == "sync" else _run_async
        status = run(*given)
    except ClientError as error:
        code = error.code if isinstance(error, RequestRefused) else None
        failed = {"class": type(error).__name__, "code": code, "message": str(error)}
        say({"failed": failed})
    else:
        say({"ended": status})


def watch(url: str, task_id: str, doors: Sequence[Door], after: str | None) -> str:
    """With the client that blocks; returns the task's status."""
    with Client(url, doors=doors) as client:
        for item in client.watch(task_id, after):
            tell(item)
        return client.get_task(task_id).status


async def watch_async(url: str, task_id: str, doors: Sequence[Door], after: str | None) -> str:
    """With the client for asyncio; returns the task's status."""
    async with AsyncClient(url, doors=doors) as client:
        async for item in client.watch(task_id, after):
            tell(item)
        return (await client.get_task(task_id)).status


def _run_async(*given: Any) -> str:
    return asyncio.run(watch_async(*given))


def tell(item: WatchItem) -> None:
    """Print one item."""
    position = item.position and str(item.position)
    attempt = item.raw.get("attempt")
    say(
        {"event_type": item.event_type, "data": item.data}
        | {"position": position, "attempt": attempt}
    )


def say(line: dict[str, Any]) -> None:
    """Print one line, at once."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
