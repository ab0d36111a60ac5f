"""Watching from the command line: what is shown, how it ends, and how to go on after Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from taskpush.cli.exits import ExitCode, code_of, exit_code_of, say_error, worst
from taskpush.cli.options import DEFAULT_SERVER, async_client_for
from taskpush.cli.watching.following import Followed, FollowedFeed, follow_feed, follow_tasks
from taskpush.cli.watching.render import renderer_for
from taskpush.client import ClientError


@dataclass(frozen=True, slots=True)
class Watching:
    """Where to watch, and how to show it on standard output."""

    server: str
    token: str | None
    json_lines: bool

    def tasks(self, followed: Followed) -> ExitCode:
        """Show the tasks until they are over, or until Ctrl-C; ends as the worst of them."""
        try:
            asyncio.run(self._tasks(followed))
        except KeyboardInterrupt:
            goes_on = "tasks go on" if len(followed.left) > 1 else "task goes on"
            self._say_how_to_go_on(
                f"No longer watching; the {goes_on}. Again:",
                [
                    f"watch {task_id}{_after(followed.positions.get(task_id))}"
                    for task_id in followed.left
                ],
            )
            return ExitCode.STOPPED
        for task_id in followed.after:
            if isinstance(end := followed.ends[task_id], ClientError):
                say_error(end, of=task_id if len(followed.after) > 1 else None)
        if (interrupted := followed.resumable) and not self.json_lines:
            again = [f"retry {task_id} --watch" for task_id in interrupted]
            self._say_how_to_go_on("Interrupted, to be gone on with:", again)
        return worst(
            exit_code_of(end) if isinstance(end, str) else code_of(end)
            for end in followed.ends.values()
        )

    def feed(self, followed: FollowedFeed) -> ExitCode:
        """Show the feed until Ctrl-C."""
        try:
            asyncio.run(self._feed(followed))
        except KeyboardInterrupt:
            again = f"watch --feed {shlex.quote(followed.feed)}{_after(followed.cursor)}"
            self._say_how_to_go_on("No longer watching. Again:", [again])
        return ExitCode.STOPPED

    async def _tasks(self, followed: Followed) -> None:
        screen = renderer_for(sys.stdout, json_lines=self.json_lines)
        async with async_client_for(self.server, self.token, screen.connection) as client:
            # A watch waits for a task that does not exist yet; here that is a mistake.
            tasks = [await client.get_task(task_id) for task_id in followed.after]
            followed.elsewhere = {task.task_id for task in tasks if task.get("created_by_producer")}
            await follow_tasks(client, tasks, screen, followed)

    async def _feed(self, followed: FollowedFeed) -> None:
        screen = renderer_for(sys.stdout, json_lines=self.json_lines)
        async with async_client_for(self.server, self.token, screen.connection) as client:
            await follow_feed(client, screen, followed)

    def _say_how_to_go_on(self, why: str, commands: Sequence[str]) -> None:
        known = os.environ.get("TASKPUSH_SERVER", DEFAULT_SERVER)
        where = "" if self.server == known else f" --server {shlex.quote(self.server)}"
        typer.echo(f"\n{why}", err=True)
        for command in commands:
            typer.echo(f"  taskpush {command}{where}", err=True)


def _after(position: str | None) -> str:
    return "" if position is None else f" --after {shlex.quote(position)}"
