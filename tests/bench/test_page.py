"""The page about performance shows what was measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import orjson

from bench.chart import chart
from bench.page import CHART, PAGE, SECTION, section
from bench.processes import ROOT


def test_the_page_and_its_chart_are_those_of_the_run_that_it_names() -> None:
    found = SECTION.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    results = orjson.loads((ROOT / found[1]).read_bytes())

    # python -m bench.page writes both.
    assert found[0] == section(found[1], results)
    assert CHART.read_text(encoding="utf-8") == chart(results)


def test_the_chart_names_every_server_that_was_measured() -> None:
    spread = {"median": 2.0, "min": 1.0, "max": 4.0}
    summary = {
        name: {"cpu_us_per_delivery": spread} for name in ("taskpush", "node", "nchan", "floor")
    }
    drawn = ET.fromstring(chart({"scenarios": {"burst": {"summary": summary}}}))

    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"taskpush", "Node socket.io", "nginx + nchan"} < set(texts)
    assert texts.count("2") == len(summary)
