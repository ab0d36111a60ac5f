"""Reports as values: what cannot travel is left out and named, the rest is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from taskpush.core.progress import BadReport
from taskpush.models.events import MAX_EVENT_BYTES
from taskpush.runner.reporting import reports
from taskpush.runner.sendable import travelling


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_iteration_keeps_the_metrics_that_can_travel() -> None:
    metrics = {
        "good": 1,
        "nan": float("nan"),
        "huge": 2**60,
        "text": "1",
        "flag": True,
        "none": None,
        "scalar": np.float32(0.5),
        "\ud800": 1,
        3: 1,
    }
    report, problems = reports.iteration(np.int64(7), metrics)
    assert report == reports.Iteration({"iteration": 7, "metrics": {"good": 1, "scalar": 0.5}})
    assert len(problems) == 7
    assert "metrics.nan: nan cannot travel as a JSON number" in problems


@pytest.mark.parametrize("i", [1.5, "1", None, True, 2**60, float("nan")])
def test_an_iteration_without_a_number_that_can_travel_is_left_out(i: Any) -> None:
    report, problems = reports.iteration(i, {})
    assert report is None
    assert problems


def test_an_iteration_with_more_metrics_than_an_event_holds_is_left_out() -> None:
    report, problems = reports.iteration(1, {f"metric number {i}": i for i in range(10_000)})
    assert report is None
    assert "do not fit one event" in problems[0]


def test_metrics_that_are_no_mapping_are_left_out() -> None:
    report, problems = reports.iteration(1, [1, 2])
    assert report == reports.Iteration({"iteration": 1, "metrics": {}})
    assert problems == ["metrics: a list is no mapping"]


def test_a_long_message_is_cut_with_a_mark() -> None:
    line, problems = reports.log_line("x" * 100_000, "info", {})
    assert problems == []
    assert line.data["message"].endswith("x … [cut]")
    assert 16_000 < line.size_bytes < 16 * 1024 + 100


@pytest.mark.parametrize("character", ["\x00", "ä", "\U0001f6f0", '"'])
def test_a_cut_message_fits_however_it_is_escaped(character: str) -> None:
    line, _ = reports.log_line(50_000 * character, "info", {})
    assert len(orjson.dumps(line.data["message"])) <= reports.MAX_MESSAGE_BYTES
    assert len(orjson.dumps(line.data["message"])) > reports.MAX_MESSAGE_BYTES - 20


def test_fields_that_do_not_fit_are_left_out_and_the_message_is_kept() -> None:
    line, problems = reports.log_line("hello", "info", {"blob": "x" * MAX_EVENT_BYTES})
    assert line.data == {"level": "info", "message": "hello"}
    assert "do not fit one event" in problems[0]


@pytest.mark.parametrize(
    ("given", "level"),
    [("debug", "debug"), ("WARN", "warning"), ("Warning", "warning"), ("critical", "error")],
)
def test_usual_level_names_are_understood(given: str, level: str) -> None:
    line, problems = reports.log_line("m", given, {})
    assert line.data["level"] == level
    assert not problems


def test_an_unknown_level_becomes_info_and_is_named() -> None:
    line, problems = reports.log_line("m", "loud", {})
    assert line.data["level"] == "info"
    assert problems == ["level: 'loud' is not debug, info, warning or error"]


def test_any_object_can_be_a_message() -> None:
    assert reports.log_line(ValueError("odd"), "info", {})[0].data["message"] == "odd"
    assert "Mute" in reports.log_line(Mute(), "info", {})[0].data["message"]


def test_a_surrogate_in_a_message_is_replaced_and_named() -> None:
    line, problems = reports.log_line("a\ud800b", "info", {})
    assert line.data["message"] == "a\ufffdb"
    assert problems == ["message: text with a lone surrogate"]


def test_stats_merge_and_leave_out_what_cannot_travel() -> None:
    merged, problems = reports.merged_stats({"a": 1, "b": 2}, {"b": 3, "c": float("inf")})
    assert merged == {"a": 1, "b": 3}
    assert len(problems) == 1
    same, problems = reports.merged_stats({"a": 1}, {"b": "x" * MAX_EVENT_BYTES})
    assert same == {"a": 1}
    assert "do not fit one event" in problems[0]


@pytest.mark.parametrize(
    "name", ["", "a/b", "../x", ".hidden", "a\n", "a\x00b", "x" * 129, "ab:cd", None]
)
def test_an_artifact_name_is_plain(name: Any) -> None:
    with pytest.raises(BadReport, match="no artifact name"):
        reports.new_artifact(name, b"", None)


@pytest.mark.parametrize("media_type", ["text", "text/html\r\nX-Evil: 1", "a/b; c", 7, "ä/b"])
def test_a_media_type_is_fit_for_a_header(media_type: Any) -> None:
    with pytest.raises(BadReport, match="no media type"):
        reports.new_artifact("a", b"", media_type)


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("plan.png", b"", "image/png"),
        ("data.csv", "a,b", "text/csv"),
        ("notes", "text", "text/plain"),
        ("blob", b"", "application/octet-stream"),
    ],
)
def test_the_media_type_follows_from_the_name(name: str, content: Any, media_type: str) -> None:
    assert reports.new_artifact(name, content, None).media_type == media_type


class Obstinate:
    """Answers everything with an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_objects_that_answer_with_errors_are_left_out_like_others() -> None:
    kept, problems = travelling({"odd": Obstinate(), "fine": 1}, "fields")
    assert kept == {"fine": 1}
    assert problems == ["fields.odd: a Obstinate is not a JSON value"]
    assert reports.log_line("m", Obstinate(), {})[1]


def test_numbers_too_large_even_to_be_shown_are_left_out() -> None:
    vast = 10**5000
    assert reports.iteration(vast, {})[0] is None
    assert reports.progress_report({"fraction": vast}, {})[0].fraction is None
    assert reports.log_line(vast, vast, {"n": vast})[0].data["level"] == "info"


def test_artifact_content_is_a_path_bytes_or_text() -> None:
    assert reports.new_artifact("a", "ä", None).source == "ä".encode()
    assert reports.new_artifact("a", bytearray(b"x"), None).source == b"x"
    source = reports.new_artifact("a", Path("relative"), None).source
    assert isinstance(source, Path)
    assert source.is_absolute()
    for bad in (7, None, "\ud800"):
        with pytest.raises(BadReport):
            reports.new_artifact("a", bad, None)
