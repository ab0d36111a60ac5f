"""The notebook's cells can be run, one after the other."""

from __future__ import annotations

from pathlib import Path

from tests.docs.page import Page, Shell

PAGE = Page("docs/how-to/notebook.md")


def test_its_cells_run(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    served = PAGE.block("python", "push.running").text.replace("8000", str(shell.port))
    waited, drawn = PAGE.block("python", "progress=True").text, PAGE.block("python", "squares").text
    last = waited.splitlines()[-1]
    cells = [served, waited.replace(last, f"print({last})"), drawn, "print(squares)\nserver.stop()"]
    said = shell.python("\n".join(cells)).splitlines()
    assert said[0] == shell.url
    assert said[-2:] == ["100", str([i * i for i in range(20)])]
    assert PAGE.left == []
