"""The command line. `main` is what the `taskpush` script calls."""

from __future__ import annotations


def main() -> None:
    """Run the command that the process was started with; ends the process with its exit code."""
    from taskpush.cli.commands import app

    app(prog_name="taskpush")
