"""The command `doctor`."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskpush.cli.doctor.finding import Finding, State
from taskpush.cli.exits import ExitCode
from taskpush.cli.json_lines import print_json_line
from taskpush.cli.options import DEFAULT_SERVER, JsonLinesOption, Server, Token, refuse_bad_address
from taskpush.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_MARKS: Final = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "bold yellow"),
    State.FAILED: ("✗", "bold red"),
}
_CHECK_WIDTH: Final = len("socketio_websocket")
_NARROW: Final = 60


def doctor(
    server: Server = DEFAULT_SERVER, token: Token = None, json_lines: JsonLinesOption = False
) -> None:
    """Check whether the server can be reached and used, by which doors, and say what to do.

    Creates nothing. Ends with 1 when a check failed.
    """
    refuse_bad_address(server)
    show = _shower(json_lines=json_lines)
    raise typer.Exit(asyncio.run(_examine(server, token, show)))


async def _examine(server: str, token: str | None, show: Callable[[Finding], None]) -> ExitCode:
    # Loaded by those who ask for it: help and completion answer at once.
    from taskpush.cli.doctor.checking import examine

    code = ExitCode.OK
    async for finding in examine(server.rstrip("/"), token):
        show(finding)
        if finding.state is State.FAILED:
            code = ExitCode.FAILED
    return code


def _shower(*, json_lines: bool) -> Callable[[Finding], None]:
    console = Console(highlight=False)
    if json_lines:
        return _show_json
    if not console.is_terminal:
        return _show_line
    return lambda finding: _show_row(console, finding)


def _show_json(finding: Finding) -> None:
    value = {
        "check": finding.check,
        "state": finding.state,
        "said": finding.said,
        "advice": finding.advice or None,
    }
    print_json_line(sys.stdout, value)


def _show_line(finding: Finding) -> None:
    cells = (finding.state, finding.check, finding.said, finding.advice)
    typer.echo("\t".join(one_line(cell) for cell in cells).rstrip("\t"))


def _show_row(console: Console, finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    said = Text(one_line(finding.said))
    if finding.advice:
        said.append(f"\n→ {one_line(finding.advice)}", style)
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    check = Text(finding.check, style="bold")
    if console.width < _NARROW:
        row.add_column()
        row.add_row(Text(mark, style), Text("\n").join([check, said]))
    else:
        row.add_column(width=_CHECK_WIDTH)
        row.add_column()
        row.add_row(Text(mark, style), check, said)
    console.print(row)
