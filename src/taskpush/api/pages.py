"""The documentation of the server's doors, which loads nothing from other hosts."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from taskpush.core import asyncapi

# Swagger UI starts from an inline script and sets styles.
_DOCS_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    base = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{base}/openapi.json",
        title="taskpush API",
        swagger_js_url=f"{base}/static/vendor/swagger-ui-bundle.js",
        swagger_css_url=f"{base}/static/vendor/swagger-ui.css",
        swagger_favicon_url=f"{base}/static/dashboard/icon.svg",
        # By default it asks a host of its makers whether the document is valid.
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers.update(_DOCS_HEADERS)
    return page


@router.get(asyncapi.PATH)
async def asyncapi_document(request: Request) -> Response:
    body = asyncapi.encoded_document(request.app.version)
    return Response(body, media_type="application/json")
