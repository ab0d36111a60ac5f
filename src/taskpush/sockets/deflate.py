"""Compression of what is large, once for all who get it. Source: RFC 7692, permessage-deflate.

Without context takeover a compressed message stands for itself, so that one can be written to
everybody, and no connection keeps a compressor or a window of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)

LEVEL: Final = 3
"""Beyond that an event of some kilobytes takes twice as long for a few percent."""
_WINDOW_BITS: Final = 15
_TAIL: Final = b"\x00\x00\xff\xff"

# Its compressors and decompressors live for one message.
WITHOUT_CONTEXT: Final = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)


def inflates(extensions: Iterable[Any]) -> bool:
    """Whether the peer of a connection with these extensions takes what `deflated` makes."""
    return any(
        isinstance(extension, PerMessageDeflate)
        # One that asked for a smaller window is sent nothing compressed, which is legal.
        and extension.local_max_window_bits == _WINDOW_BITS
        for extension in extensions
    )


def deflated(payload: bytes) -> bytes:
    """The payload of a compressed message: section 7.2.1."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -_WINDOW_BITS)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return compressed.removesuffix(_TAIL)
