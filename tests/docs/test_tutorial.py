"""The tutorial can be followed, its fourth step included, which breaks things."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.docs.page import Page, Shell

PAGE = Page("docs/tutorial/first-task.md")
(SERVE,) = PAGE.block("", "taskpush serve").commands
(WATCH,) = PAGE.block("", "--watch").commands
(REFUSED,) = PAGE.block("", "loaves=0").commands


def test_the_first_task_is_baked_broken_and_asked_for_in_vain(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "jobs.py").write_text(PAGE.block("python", "# jobs.py").text)
    with shell.serving(SERVE) as server:
        assert "completed" in shell.type(WATCH).splitlines()[-1]
        assert "params.loaves" in shell.type(REFUSED, expects=6)
        assert shell.type("taskpush list --json-lines").count("\n") == 1
        watching = shell.start(WATCH)
        assert watching.stdout is not None
        seen = watching.stdout.readline()
        while "96" not in seen and "iteration" not in seen:
            seen = watching.stdout.readline()
        # What `pkill -9 -f` does, to this server alone.
        server.send_signal(signal.SIGKILL)
        server.wait()
    with shell.serving(SERVE):
        said, _ = watching.communicate(timeout=30)
        assert watching.returncode == 4
        *_, ended, _, hint, command = said.splitlines()
        assert "interrupted" in ended
        assert hint == "Interrupted, to be gone on with:"
        assert "completed" in shell.type(command.strip()).splitlines()[-1]
        printed = shell.python(PAGE.block("python", "Client(").text).splitlines()
        assert [line.split()[0] for line in printed].count("iteration_complete") == 5
        assert printed[-1] == "{'loaves': 5, 'crust': 'golden'}"
    assert (tmp_path / ".taskpush").is_dir()


def test_no_block_is_left() -> None:
    """The last test: the one above has taken them."""
    assert PAGE.left == []
