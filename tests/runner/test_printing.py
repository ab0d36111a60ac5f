"""What handlers print: each into its own task's log, and nobody else's into any."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from taskpush.models.events import Status
from taskpush.runner.printing import Lines, captured
from taskpush.runner.recorder import LogBudget
from tests.runner import kinds
from tests.runner.kinds import Style, handler_for
from tests.runner.workbench import Workbench


def _said(*pieces: str) -> Sequence[str]:
    said: list[str] = []
    lines = Lines(said.append)
    for piece in pieces:
        lines.write(piece)
    lines.close()
    return said


def test_pieces_are_joined_to_lines() -> None:
    assert _said("a", " ", "b", "\n") == ["a b"]
    assert _said("one\ntwo\nthr", "ee") == ["one", "two", "three"]


def test_blank_lines_are_left_out() -> None:
    assert _said("\n", " \n\n", "a\n") == ["a"]


def test_what_is_overwritten_on_a_terminal_is_left_out() -> None:
    assert _said("\r 1 %", "\r 2 %", "\r 3 %\n", "done\r\n") == [" 3 %", "done"]
    assert _said(*(f" {percent} %\r" for percent in range(100))) == [" 99 %"]


def test_a_line_without_end_is_said_in_parts() -> None:
    said = _said(*("x" * 1000 for _ in range(100)))
    assert sum(map(len, said)) == 100_000
    assert max(map(len, said)) < 20_000


def test_what_saying_prints_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        print("loudly")

    with captured(say):
        print("once")
    assert said == ["once"]
    assert capsys.readouterr().out == "loudly\n"


def test_the_standard_output_is_put_back() -> None:
    before = sys.stdout
    with captured(print), captured(print):
        assert sys.stdout is not before
    assert sys.stdout is before


def test_a_stream_is_still_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    encoding = sys.stdout.encoding
    said: list[str] = []
    with captured(said.append):
        assert sys.stdout.encoding == encoding
        assert not sys.stdout.isatty()
        sys.stdout.writelines(["a\n", "b\n"])
        sys.stdout.flush()
    assert said == ["a", "b"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("style", Style)
async def test_handlers_at_once_print_into_their_own_logs(bench: Workbench, style: Style) -> None:
    kind = bench.kind(
        handler_for("talk", style), process=style is Style.PROCESS, capture_print=True
    )
    tasks = {word: await bench.submit(kind, {"word": word}) for word in ("ann", "bob", "cid")}
    for word, task_id in tasks.items():
        assert (await bench.over(task_id)).status is Status.COMPLETED
        lines = [line for line in bench.logs(task_id, "info") if "between" not in line]
        assert lines[:3] == [f"{word} {turn}" for turn in range(3)]
        assert lines[-1] == "no end"
        assert all(word in line for line in lines[:-1])
        if style is Style.LOOP:
            assert lines[3:-1] == [f"{word} from a task"] * 2 + [f"{word} from a thread"]


@pytest.mark.parametrize("style", [Style.THREAD, Style.PROCESS])
async def test_prints_and_logs_keep_their_order(bench: Workbench, style: Style) -> None:
    kind = bench.kind(kinds.talk, process=style is Style.PROCESS, capture_print=True)
    task_id = await bench.submit(kind, {"word": "ann"})
    await bench.over(task_id)
    said = [part for turn in range(3) for part in (f"ann {turn}", f"between {turn}")]
    assert bench.logs(task_id) == [*said, "no end"]


async def test_others_print_where_they_always_did(
    bench: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = bench.kind(kinds.a_talk)
    wanted = bench.kind(kinds.talk, capture_print=True)
    tasks = [await bench.submit(kind, {"word": kind}) for kind in (quiet, wanted)]
    print("the server")
    for task_id in tasks:
        await bench.over(task_id)
    await bench.idle()
    out = capsys.readouterr().out
    assert "the server" in out
    assert "a_talk 0" in out
    assert "\ntalk" not in out
    assert bench.logs(tasks[0]) == []


async def test_a_process_is_heard_with_its_threads_and_programs(bench: Workbench) -> None:
    kind = bench.kind(kinds.talk_beside, process=True, capture_print=True)
    task_id = await bench.submit(kind)
    assert (await bench.over(task_id)).status is Status.COMPLETED
    assert sorted(bench.logs(task_id)) == [
        "from a program",
        "from a thread of its own",
        "from the handler",
    ]


@pytest.mark.parametrize("process", [False, True])
async def test_a_handler_that_only_prints_can_be_cancelled(bench: Workbench, process: bool) -> None:
    kind = bench.kind(kinds.babble, process=process, capture_print=True)
    task_id = await bench.submit(kind)
    await bench.begun(task_id)
    await bench.cancel(task_id)
    async with asyncio.timeout(4):  # less than the grace of a process that does not stop
        assert (await bench.over(task_id)).status is Status.CANCELLED


async def test_prints_are_bounded_by_the_log_budget(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, log_budget=LogBudget(records=5))
    await bench.open()
    kind = bench.kind(kinds.talk, capture_print=True)
    task_id = await bench.submit(kind, {"word": "ann", "turns": 100})
    await bench.over(task_id)
    *lines, last = bench.logs(task_id)
    assert len(lines) == 5
    assert "left out" in last
    await bench.close()
