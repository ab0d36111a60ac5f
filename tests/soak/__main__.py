"""`make soak`: ten minutes by default; ends with 1 when the server has grown."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import Bounds, Soak, soak, soak_server

WARM_UP_S = 300.0
"""Until there are as many tasks as are kept, our caches are full, and the table of recent events,
which SQLite's cache follows, was filled and emptied once: under this load that takes 240 s."""
BOUNDS = Bounds(memory_kib_per_min=512, descriptors_per_min=4, asyncio_tasks_per_min=6)


async def _run(seconds: float) -> Soak:
    with (
        tempfile.TemporaryDirectory(prefix="taskpush-soak-") as folder,
        soak_server(Path(folder) / "data") as server,
    ):
        return await soak(server, seconds=seconds, warm_up_s=WARM_UP_S, say=print)


def main() -> None:
    """Run one soak, and tell what it found."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    done = asyncio.run(_run(parser.parse_args().seconds))
    tally = done.tally
    print(f"created {tally.created}, cancelled {tally.cancelled}", end=", ")
    print(f"{tally.watches} watches, {tally.events} events received, none missing")
    for name, at in (("before", done.before), ("after", done.after)):
        print(
            f"at rest {name}: {at.rss_kib / 1024:.1f} MiB"
            f" (SQLite {at.sqlite_kib / 1024:.1f}), {at.descriptors} descriptors,"
            f" {at.asyncio_tasks} asyncio tasks, {at.objects} objects"
        )
    print(
        f"slope a minute: memory {done.rss_kib_per_min:+.0f} KiB,"
        f" without SQLite's caches {done.own_kib_per_min:+.0f} KiB,"
        f" descriptors {done.descriptors_per_min:+.2f},"
        f" asyncio tasks {done.asyncio_tasks_per_min:+.2f}"
    )
    problems = done.growth_beyond(BOUNDS)
    for problem in problems:
        print(f"grown: {problem}")
    sys.exit(1 if problems else 0)


main()
