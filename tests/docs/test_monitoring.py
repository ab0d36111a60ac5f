"""What the page has somebody type and set up fits what a server says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # it ships no types

from taskpush.access.keys import KeyRing
from taskpush.access.principal import Role
from taskpush.telemetry.bus import Telemetry
from tests.docs.page import Page
from tests.support.figures import families

PAGE = Page("docs/how-to/monitoring.md")
PATIENCE_S = 60


def test_the_alerts_are_about_series_that_there_are() -> None:
    (group,) = yaml.safe_load(PAGE.block("yaml", "alert:").text)["groups"]
    asked = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    assert len(asked) == 5
    said = {sample.name for family in families().values() for sample in family.samples}
    named = {name for expr in asked.values() for name in re.findall(r"\b[a-z]+_\w+", expr)}
    assert named - {"histogram_quantile"} <= said
    events = {sample.labels["event"] for sample in families()["taskpush_telemetry_events"].samples}
    assert set(re.findall(r'event="([^"]+)"', str(asked))) <= events


def test_the_key_that_is_made_for_a_scraper_reads_metrics_and_nothing_else(tmp_path: Path) -> None:
    (command,) = PAGE.block("", "keys create").commands
    made, _, file = command.partition(" > ")
    scrape = yaml.safe_load(PAGE.block("yaml", "scrape_configs").text)["scrape_configs"][0]
    assert scrape["authorization"]["credentials_file"] == file
    data = tmp_path / "data"
    typed = made.replace("/var/lib/taskpush", str(data)).split()
    printed = subprocess.run(
        [sys.executable, "-m", *typed],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
        env=os.environ,
    ).stdout
    ring = KeyRing(data / "keys.json", Telemetry(), time.time)
    principal = ring.admit(printed.strip()).principal
    assert (principal.tenant, principal.roles) == ("local", frozenset({Role.METRICS}))


def test_what_is_asked_with_curl_is_an_address_of_the_server() -> None:
    from taskpush.api.server import router

    paths = {getattr(route, "path", "") for route in router.routes}
    asked = re.findall(r"https://jobs\.example\.org([\w/]+)", PAGE.block("", "curl").text)
    assert asked == ["/api/connections", "/api/connections", "/api/server"]
    assert set(asked) <= paths
    assert "/metrics" in paths


def test_nothing_is_left_to_be_typed() -> None:
    assert PAGE.left == []
