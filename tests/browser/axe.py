"""What axe says of a page."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.server import ROOT

AXE = ROOT / "web/dashboard/node_modules/axe-core/axe.min.js"
RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
}"""


def violations(page: Page) -> list[str]:
    """The serious ones, with where they are."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(RUN)
    return found
