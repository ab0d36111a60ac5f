"""The dashboard: one page, whose script shows what its address names.

It is built from `web/dashboard` by `hatch_build.py`. Nothing on it is loaded from another host.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

FOLDER: Final = Path(__file__).parent / "static" / "dashboard"
ASSETS: Final = "static/dashboard/"

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none';"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


# Each address that the page's script knows; any other one stays an error.
@router.get("/")
@router.get("/tasks")
@router.get("/tasks/{task_id}")
@router.get("/new")
@router.get("/queue")
@router.get("/history")
@router.get("/connections")
async def dashboard(request: Request) -> HTMLResponse:
    depth = request.scope["path"].removeprefix(request.scope.get("root_path", "")).count("/") - 1
    return HTMLResponse(page(depth), headers=HEADERS)


@cache
def page(depth: int) -> str:
    """The page for an address that is so many folders deep.

    Addresses in it are relative, so that it works under any prefix, also where a proxy adds one
    that this server does not know.
    """
    built = (FOLDER / "index.html").read_text(encoding="utf-8")
    return built.replace('="./', f'="{"../" * depth}{ASSETS}')
