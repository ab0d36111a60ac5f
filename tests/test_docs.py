"""The reference pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from taskpush.errors import CODES
from taskpush.settings import Settings
from taskpush.telemetry import events as telemetry

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def test_every_error_code_is_in_the_table_with_its_status_and_meaning() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert {code: (int(status), title) for code, status, title in rows} == {
        code: (spec.status, spec.title) for code, spec in CODES.items()
    }


def test_every_telemetry_event_is_in_the_table() -> None:
    page = (REFERENCE / "telemetry.md").read_text(encoding="utf-8")
    names = {cls.name for cls in telemetry.TelemetryEvent.__subclasses__()}
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)) == names


def test_every_setting_is_in_the_table() -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    names = {f"TASKPUSH_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^\| `([A-Z_0-9]+)` \|", page, re.MULTILINE)) == names
