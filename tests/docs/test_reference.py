"""The reference pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskpush.errors import CODES
from taskpush.settings import Settings
from taskpush.telemetry import events as telemetry
from tests.support.figures import families

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
THREATS = ROOT / "docs" / "explanation" / "threat-model.md"
PAGES = sorted(
    page
    for folder in ("*.md", "docs/**/*.md", "examples/**/*.md", "web/client/*.md")
    for page in ROOT.glob(folder)
)


def test_every_error_code_is_in_the_table_with_its_status_and_meaning() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert {code: (int(status), title) for code, status, title in rows} == {
        code: (spec.status, spec.title) for code, spec in CODES.items()
    }


def test_every_telemetry_event_is_in_the_table() -> None:
    page = (REFERENCE / "telemetry.md").read_text(encoding="utf-8")
    events = page.partition("\n## Metrics")[0]
    names = {cls.name for cls in telemetry.TelemetryEvent.__subclasses__()}
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", events, re.MULTILINE)) == names


def test_every_metric_is_in_the_table_with_its_type_and_labels() -> None:
    page = (REFERENCE / "telemetry.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(taskpush_\w+)` \| (\w+) \| (.*?) ?\| ", page, re.MULTILINE)
    told = {}
    for name, family in families().items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        whole = f"{name}_total" if family.type == "counter" else name
        told[whole] = (family.type, labels)
    assert {name: (sort, set(re.findall(r"`(\w+)`", labels))) for name, sort, labels in rows} == {
        name: value for name, value in told.items() if name.startswith("taskpush_")
    }
    others = {name for name in told if not name.startswith("taskpush_")}
    assert set(re.findall(r"`(process_\w+)`", page)) == others


def test_every_answer_of_the_threat_model_names_tests_and_code_that_exist() -> None:
    page = THREATS.read_text(encoding="utf-8")
    tried = page.partition("| threat |")[2].partition("\n\n")[0].splitlines()[2:]
    assert tried
    for row in tried:
        paths = re.findall(r"`(tests/[\w/.]+)`", row.rpartition(" | ")[2])
        assert paths, f"no test is named: {row}"
        assert [path for path in paths if not (ROOT / path).is_file()] == [], row
    stages = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", page.partition("## Where")[2])
    ours = [path for path in stages if not path.startswith("tests/")]
    assert [path for path in ours if not (ROOT / "src" / "taskpush" / path).exists()] == []


def _anchors(page: Path) -> set[str]:
    """What a link may name after `#`: the headings, as GitHub spells them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r'\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)"', text)
    for link in (markdown or html for markdown, html in named):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page not in PAGES:
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#:]+)", page.read_text(encoding="utf-8"))
        ahead += [(page.parent / link).resolve() for link in links]
    assert [page for page in PAGES if page not in reached] == []


def test_every_setting_is_in_the_table() -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    names = {f"TASKPUSH_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^\| `([A-Z_0-9]+)` \|", page, re.MULTILINE)) == names
