"""Watches a task through one door with the browser bundle, in a real Chromium.

Usage: python -m tests.web.watch_in_chromium URL TASK_ID [--door DOOR] [--after POSITION]
Prints one JSON line per item, and last how it ended; as web/client/programs/watch.ts does.
"""

from __future__ import annotations

import argparse

from playwright.sync_api import BrowserContext, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.web.package import built

PAGE = """<!doctype html><title>watch</title><link rel="icon" href="data:,">
<script type="module" src="page.js"></script>"""
RUN = """
async ([url, task, door, after]) => {
  const lines = watchAsLines(url, task, door ?? undefined, after ?? undefined);
  for await (const line of lines) say(line);
}
"""


def serve_bundle(context: BrowserContext, url: str, page: str = PAGE) -> str:
    """Put the bundle and a page of the server's own origin below the answered address."""
    dist = built()
    folder = f"{url}/bundle-under-test"
    _serve(context, f"{folder}/", "text/html", page)
    for path in (*dist.glob("tests/*.js"), dist / "bundle/taskpush-client.js"):
        source = path.read_text(encoding="utf-8")
        _serve(context, f"{folder}/{path.name}", "text/javascript", source)
    return f"{folder}/"


def _serve(context: BrowserContext, address: str, media_type: str, body: str) -> None:
    context.route(address, lambda route: route.fulfill(content_type=media_type, body=body))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("task_id")
    parser.add_argument("--door")
    parser.add_argument("--after")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False
        )
        context = browser.new_context()
        page = context.new_page()
        page.expose_function("say", lambda line: print(line, flush=True))
        page.goto(serve_bundle(context, given.url))
        page.evaluate(RUN, [given.url, given.task_id, given.door, given.after])
        browser.close()


if __name__ == "__main__":
    main()
