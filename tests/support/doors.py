"""Every address that asks who is there: method and path, with the ids to be filled in."""

from __future__ import annotations

from typing import Final

DOORS: Final = [
    ("GET", "/api/tasks"),
    ("POST", "/api/tasks"),
    ("POST", "/api/tasks/batch"),
    ("GET", "/api/tasks/{task}"),
    ("GET", "/api/tasks/{task}/events"),
    ("POST", "/api/tasks/{task}/events"),
    ("GET", "/api/tasks/{task}/result"),
    ("GET", "/api/tasks/{task}/stream"),
    ("GET", "/api/tasks/{task}/artifacts"),
    ("GET", "/api/tasks/{task}/artifacts/a.txt"),
    ("PUT", "/api/tasks/{task}/artifacts/a.txt"),
    ("POST", "/api/tasks/{task}/cancel"),
    ("POST", "/api/tasks/{task}/retry"),
    ("DELETE", "/api/tasks/{task}"),
    ("GET", "/api/stream"),
    ("GET", "/api/feed"),
    ("GET", "/api/kinds"),
    ("GET", "/api/limits"),
    ("GET", "/api/queue"),
    ("GET", "/api/stats"),
    ("GET", "/api/audit"),
    ("GET", "/api/me"),
    ("GET", "/api/connections"),
    ("GET", "/api/server"),
    ("POST", "/api/uploads"),
    ("GET", "/api/uploads/{upload}"),
    ("DELETE", "/api/uploads/{upload}"),
    ("GET", "/api/tasks/{task}/uploads/{upload}"),
    ("GET", "/api/tasks/{task}/webhooks"),
    ("POST", "/api/tasks/{task}/webhooks/redeliver"),
    ("POST", "/api/tokens"),
    ("DELETE", "/api/tokens/{token}"),
    ("POST", "/api/tickets"),
]

REPORTING: Final = {
    ("POST", "/api/tasks/{task}/events"),
    ("PUT", "/api/tasks/{task}/artifacts/a.txt"),
}
"""Those that look first at what is sent; who may not report is tried in test_producers.py."""
