"""uvicorn's HTTP connection, as `taskpush serve` loads it.

Under uvicorn it is `--http taskpush.serving.connection:HttpConnection`.
"""

from __future__ import annotations

from taskpush.api.wire import HttpProtocol
from taskpush.sockets.arrivals import ArrivalProtocol


class HttpConnection(ArrivalProtocol, HttpProtocol):
    """Comes in through the gate, and offers itself to the responses that stream."""
