"""Where the next page of a list is."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request


def address_of_next(request: Request, path: str, after: str) -> str:
    """The address of the next page of the list at `path`, with the same filters."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f"{path}?{urlencode([*query, ('after', after)])}"
