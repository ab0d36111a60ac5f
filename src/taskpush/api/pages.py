"""The pages that the server brings itself: the demo page and the documentation of its doors.

Nothing on them is loaded from another host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import FileResponse, HTMLResponse, Response

from taskpush.core import asyncapi

STATIC: Final = Path(__file__).parent / "static"

_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' http: https: ws: wss:; img-src 'self' http: https:"
        " blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-cache",
}
# Swagger UI starts from an inline script and sets styles.
_DOCS_HEADERS: Final = _PAGE_HEADERS | {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
    )
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def demo_page() -> FileResponse:
    return FileResponse(STATIC / "demo" / "index.html", headers=_PAGE_HEADERS)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    base = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{base}/openapi.json",
        title="taskpush API",
        swagger_js_url=f"{base}/static/vendor/swagger-ui-bundle.js",
        swagger_css_url=f"{base}/static/vendor/swagger-ui.css",
        swagger_favicon_url=f"{base}/static/demo/icon.svg",
        # By default it asks a host of its makers whether the document is valid.
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers.update(_DOCS_HEADERS)
    return page


@router.get(asyncapi.PATH)
async def asyncapi_document(request: Request) -> Response:
    body = asyncapi.encoded_document(request.app.version)
    return Response(body, media_type="application/json")


class Assets(StaticFiles):
    """Static files that are checked for changes at every load."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # passed through
        response.headers.update({"Cache-Control": "no-cache"})
        return response


def assets() -> Assets:
    """The application that serves `/static`."""
    return Assets(directory=STATIC)
