"""What a page is like to look at, measured in the browser: frames, and when something was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import Page

# Milliseconds between frames: an object whose `stop` gives them.
_FRAMES = """() => {
  const gaps = [];
  let last = 0, stopped = false;
  const frame = (now) => {
    if (last) gaps.push(now - last);
    last = now;
    if (!stopped) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.frames_of_test = () => { stopped = true; return gaps; };
}"""
# Of each iteration, when the frame was over that followed on its line's coming into the document.
_SEEN = """() => {
  window.seen_of_test = {};
  const iterations = () => document.querySelectorAll('.log-line[data-tag="iteration"] .log-text');
  const known = new Set([...iterations()].map((line) => parseInt(line.textContent)));
  new MutationObserver(() => {
    const fresh = [...iterations()].map((line) => parseInt(line.textContent))
      .filter((iteration) => !known.has(iteration));
    for (const iteration of fresh) known.add(iteration);
    if (fresh.length === 0) return;
    requestAnimationFrame(() => setTimeout(() => {
      for (const iteration of fresh) seen_of_test[iteration] = Date.now() / 1000;
    }));
  }).observe(document.querySelector("#log"), {subtree: true, childList: true, characterData: true});
}"""
# Milliseconds from the page's navigation until each text was in the log for the first time.
MARKS = """(texts) => {
  window.marks_of_test = {};
  const look = (now) => {
    const said = document.querySelector(".log-head")?.textContent + " "
      + [...document.querySelectorAll(".log-line")].map((line) => line.textContent).join(" ");
    for (const text of texts)
      if (!(text in marks_of_test) && said.includes(text)) marks_of_test[text] = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def frames_while(page: Page, happens: Callable[[], object]) -> list[float]:
    """The milliseconds between frames while something happens."""
    page.evaluate(_FRAMES)
    happens()
    gaps: list[float] = page.evaluate("frames_of_test()")
    return gaps


def note_iterations(page: Page) -> Callable[[], dict[int, float]]:
    """From now on note when iterations are seen; gives the times, in seconds since 1970."""
    page.evaluate(_SEEN)

    def seen() -> dict[int, float]:
        times: dict[str, Any] = page.evaluate("seen_of_test")
        return {int(iteration): float(time_s) for iteration, time_s in times.items()}

    return seen


def told(title: str, milliseconds: Sequence[float]) -> str:
    """The line that a test prints of what it measured."""
    p50, p95 = percentile(milliseconds, 0.5), percentile(milliseconds, 0.95)
    most = max(milliseconds)
    return f"{title}: {len(milliseconds)}, ms: p50 {p50:.1f}, p95 {p95:.1f}, most {most:.1f}"
