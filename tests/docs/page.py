"""The blocks of a page, and what is typed in them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import ROOT, START_WITHIN_S, free_port

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ADDRESS = "127.0.0.1:8000"
TYPED_WITHIN_S = 60


@dataclass(frozen=True)
class Block:
    """A fenced block: what the fence names, and the text between."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of a terminal, without comments."""
        lines = (line.partition("#")[0].strip() for line in self.text.splitlines())
        return [line for line in lines if line]


class Page:
    """A page of the documentation; every block has to be taken by a test."""

    def __init__(self, path: str) -> None:
        self.text = (ROOT / path).read_text(encoding="utf-8")
        self.blocks = [Block(*found) for found in _FENCED.findall(self.text)]
        self._taken: list[Block] = []

    def block(self, language: str, having: str = "") -> Block:
        """The one block of this language that has these words."""
        (block,) = [it for it in self.blocks if it.language == language and having in it.text]
        self._taken.append(block)
        return block

    @property
    def left(self) -> list[Block]:
        """The blocks that no test has taken."""
        return [block for block in self.blocks if block not in self._taken]


class Shell:
    """A folder in which a reader types, with a port of its own in place of 8000.

    `programs` is where taskpush is installed.
    """

    def __init__(self, folder: Path, programs: Path = Path(sys.executable).parent) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(folder),
            "TASKPUSH_SERVER": self.url,
            "PYTHONUNBUFFERED": "1",
        }

    def here(self, text: str) -> str:
        """The text with this shell's address."""
        return text.replace(_ADDRESS, f"127.0.0.1:{self.port}")

    def start(self, command: str) -> subprocess.Popen[str]:
        """Type a command that goes on, and do not wait for it."""
        return subprocess.Popen(
            shlex.split(self.here(command)),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, command: str, *, expects: int = 0, **env: str) -> str:
        """Type a command, and return all that it says."""
        ran = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.folder,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TYPED_WITHIN_S,
            check=False,
        )
        assert ran.returncode == expects, f"{command}: {ran.returncode}\n{ran.stdout}"
        return ran.stdout

    def python(self, text: str) -> str:
        """Run a program, and return what it prints."""
        (self.folder / "program.py").write_text(self.here(text), encoding="utf-8")
        return self.type("python program.py")

    @contextmanager
    def serving(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """The command's server, ready; it is told to stop at the end, when it still runs."""
        server = self.start(f"{command} --port {self.port}")
        try:
            deadline = time.monotonic() + START_WITHIN_S
            while not self._ready():
                assert server.poll() is None, server.communicate()[0]
                assert time.monotonic() < deadline, "not ready"
                time.sleep(0.05)  # Another process: there is nothing to await but its answer.
            yield server
        finally:
            server.terminate()
            server.communicate(timeout=30)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                return True
        except OSError:
            return False
