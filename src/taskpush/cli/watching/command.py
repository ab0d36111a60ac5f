"""The commands that go on: `watch`."""

from __future__ import annotations

from typing import Annotated

import typer

from taskpush.cli import complete
from taskpush.cli.exits import errors_told
from taskpush.cli.options import DEFAULT_SERVER, JsonLinesOption, Server, Token


def watch(
    task_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TASK_ID",
            help="One task, or several.",
            autocompletion=complete.recent_tasks,
        ),
    ] = None,
    feed: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.feeds,
            help="In the place of ids: all, kind:NAME, tag:NAME or owner:me; goes on until Ctrl-C.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="Start after this position of the task, epoch:seq or seq, or `now`; of a feed"
            " after this cursor."
        ),
    ] = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
    json_lines: JsonLinesOption = False,
) -> None:
    """Show tasks live until they are over. Ctrl-C stops the watching, not the tasks."""
    if bool(task_ids) == (feed is not None):
        raise typer.BadParameter("say which tasks by their ids, or by --feed")
    # Each once, in their order.
    chosen = list(dict.fromkeys(task_id.lower() for task_id in task_ids or ()))
    if after not in (None, "now") and len(chosen) > 1:
        raise typer.BadParameter("a position is one task's", param_hint="--after")
    # Loaded by those who watch: help and completion answer at once.
    from taskpush.cli.watching.following import Followed, FollowedFeed
    from taskpush.cli.watching.session import Watching

    watching = Watching(server, token, json_lines)
    with errors_told():
        if feed is not None:
            raise typer.Exit(watching.feed(FollowedFeed(feed, after)))
        raise typer.Exit(watching.tasks(Followed(dict.fromkeys(chosen, after))))
