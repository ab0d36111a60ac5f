"""Lists on stdout: a table on a terminal, tab-separated elsewhere, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskpush.cli.json_lines import print_json_line
from taskpush.cli.text import one_line


def show_rows(
    values: Iterable[Mapping[str, Any]],
    names: Sequence[str],
    cells: Callable[[Any], Sequence[str]],
    *,
    json_lines: bool,
) -> None:
    """A row for each value, of the cells that it makes; or the values themselves."""
    if json_lines:
        show_json_lines(values)
    else:
        show_table(names, map(cells, values))


def show_json_lines(values: Iterable[Mapping[str, Any]]) -> None:
    """Each value as a line of JSON."""
    for value in values:
        print_json_line(sys.stdout, dict(value))


def show_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under the names of their columns; without these where no person reads."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(one_line(cell) for cell in row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(names):
        table.add_column(name, no_wrap=position == 0)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console.print(table)


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values, without those that have none; a name of "" goes on with the last one."""
    known = [(name, one_line(value)) for name, value in facts if value]
    console = Console(highlight=False)
    if not console.is_terminal:
        for name, value in known:
            typer.echo(f"{name}\t{value}")
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in known:
        table.add_row(name, Text(value))
    console.print(table)


def end_part() -> None:
    """Something else follows."""
    typer.echo("")
