"""What shells offer after a command: kinds, their params, tasks. Silent when it cannot be known.

Asked with what a shell has at hand while somebody types: so it takes little time, and the client,
which takes longer to load than to ask, is left out.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlencode

from typer import Context
from typing_extensions import override

from taskpush.cli.watching.said import mapping

WITHIN_S: Final = 0.4
"""With the start of the interpreter it has to be less than a second."""
MAX_BYTES: Final = 2 * 1024 * 1024
RECENT: Final = 30
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PARAM: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_HARMLESS: Final = frozenset(" .,/+%#@-_()’…→≥≤")
_TASK_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FEEDS: Final = (("all", "all tasks that may be read"), ("owner:me", "one's own"))

Offers = list[tuple[str, str]]
"""What may be typed, and what it means."""


def kinds(context: Context, incomplete: str) -> Offers:
    """Kinds of which tasks may be submitted."""
    return _starting(incomplete, _kinds(context, submitted=True))


def params(context: Context, incomplete: str) -> Offers:
    """The params of the kind that was typed before: `seed=`."""
    if "=" in incomplete:
        return []
    offers = []
    for kind in _items(context, "/kinds"):
        if kind.get("name") != context.params.get("kind"):
            continue
        described = mapping(mapping(kind.get("params_schema")).get("properties"))
        for name, schema in described.items():
            if _PARAM.fullmatch(name):
                offers.append((f"{name}=", _meaning(mapping(schema).get("description") or "")))
    return _starting(incomplete, offers)


def recent_tasks(context: Context, incomplete: str) -> Offers:
    """Recent tasks, newest first."""
    return _tasks(context, incomplete)


def active_tasks(context: Context, incomplete: str) -> Offers:
    """Tasks that can be cancelled."""
    return _tasks(context, incomplete, "running", "pending")


def retryable_tasks(context: Context, incomplete: str) -> Offers:
    """Tasks that can be retried."""
    return _tasks(context, incomplete, "failed", "interrupted", "cancelled")


def tasks_over(context: Context, incomplete: str) -> Offers:
    """Tasks that can be deleted."""
    return _tasks(context, incomplete, "completed", "failed", "cancelled", "interrupted")


def completed_tasks(context: Context, incomplete: str) -> Offers:
    """Tasks that have a result."""
    return _tasks(context, incomplete, "completed")


def feeds(context: Context, incomplete: str) -> Offers:
    """Feeds."""
    kinds = ((f"kind:{name}", meaning) for name, meaning in _kinds(context))
    return _starting(incomplete, (*_FEEDS, *kinds))


def _kinds(context: Context, *, submitted: bool = False) -> Iterator[tuple[str, str]]:
    for kind in _items(context, "/kinds"):
        if submitted and kind.get("created_by_producer"):
            continue
        name = str(kind.get("name"))
        if _NAME.fullmatch(name):
            yield name, _meaning(kind.get("description") or "")


def _tasks(context: Context, incomplete: str, *statuses: str) -> Offers:
    typed = context.params.get("task_ids") or ()
    offers = []
    for task in _items(context, "/tasks", limit=str(RECENT)):
        task_id, status = str(task.get("task_id")), str(task.get("status"))
        if not _TASK_ID.fullmatch(task_id) or task_id in typed:
            continue
        if not statuses or status in statuses:
            name = str(task.get("title") or task.get("kind") or "")
            offers.append((task_id, _meaning(status, name)))
    return _starting(incomplete, offers)


def _starting(incomplete: str, offers: Iterable[tuple[str, str]]) -> Offers:
    return [(text, meaning) for text, meaning in offers if text.startswith(incomplete)]


def _items(context: Context, path: str, **query: str) -> list[Mapping[str, Any]]:
    """The items of a page; none when it cannot be had in time, for whatever reason."""
    server = str(context.params.get("server") or "").rstrip("/")
    token = context.params.get("token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    pages: list[Mapping[str, Any]] = []
    if server.startswith(("http://", "https://")):
        asked = f"{server}/api{path}?{urlencode(query)}"
        # A name that is looked up, and an answer that comes in drops, know no timeout.
        asking = threading.Thread(target=_ask, args=(asked, headers, pages), daemon=True)
        asking.start()
        asking.join(WITHIN_S)
    found = pages[0].get("items") if pages else None
    return [mapping(item) for item in found] if isinstance(found, list) else []


def _ask(url: str, headers: Mapping[str, str], pages: list[Mapping[str, Any]]) -> None:
    # As the client does: by no proxy, and the token goes nowhere else.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    with suppress(OSError, ValueError, HTTPException, RecursionError):
        request = urllib.request.Request(url, headers=dict(headers))
        with opener.open(request, timeout=WITHIN_S) as answer:
            pages.append(mapping(json.loads(answer.read(MAX_BYTES))))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    @override
    def redirect_request(self, *_: object) -> None:
        return None


def _meaning(*words: object) -> str:
    """What a shell may show beside an offer: zsh evaluates it, and typer takes it for markup."""
    told = ", ".join(str(word) for word in words if word).replace("'", "’")
    return " ".join("".join(mark if _harmless(mark) else " " for mark in told).split())


def _harmless(mark: str) -> bool:
    return mark.isalnum() or mark in _HARMLESS
