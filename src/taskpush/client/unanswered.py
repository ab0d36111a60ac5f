"""Why a request came to nothing, in words for people: the HTTP library's own name its settings."""

from __future__ import annotations

import os
import socket
import ssl

import aiohttp


def why_unanswered(error: Exception) -> str:
    """One sentence without a full stop: `Cannot connect to localhost:8000 (Connection refused)`."""
    match error:
        case aiohttp.ClientConnectorError():
            return f"Cannot connect to {error.host}:{error.port} ({_unconnected(error)})"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before the answer"
        case aiohttp.ClientPayloadError():
            return "the answer broke off"
        case aiohttp.ClientResponseError():
            return "what answers does not speak HTTP"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
    return str(error) or type(error).__name__


def _unconnected(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    cause = error.os_error
    # A resolver's and OpenSSL's numbers are their own.
    if isinstance(cause, ssl.SSLError | socket.gaierror) or not cause.errno:
        return cause.strerror or str(cause)
    return os.strerror(cause.errno)
