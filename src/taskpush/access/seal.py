"""Places in what a store counts, as texts that say nothing to whoever keeps them.

The store numbers what it does for everybody together: a reader who could read two of its numbers
would know how much all the others did in between.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_NONCE_BYTES: Final = 8
_BLOCK_BYTES: Final = 48
"""Texts are filled up to a multiple of this: their length would tell the size of a number."""


class Seal:
    """Closes texts so that only who has the secret can read or make them.

    Closing the same text twice gives two different ones, so that nobody sees either whether it has
    changed. What one purpose has closed another does not open. Source: RFC 5297 (AES-SIV), whose
    nonces may be random and short: one that comes twice tells of equal texts, and nothing else.
    """

    def __init__(self, secret: bytes | None = None, purpose: str = "") -> None:
        """Without a secret it has one of its own, which ends with it."""
        key = secrets.token_bytes(32) if secret is None else secret
        derived = hmac.new(key, f"taskpush seal {purpose}".encode(), hashlib.sha512)
        self._cipher = AESSIV(derived.digest())

    def close(self, text: str) -> str:
        """`text`, which has no spaces at its end, for somebody who is to give it back."""
        plain = text.encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        filled = plain.ljust(-(-len(plain) // _BLOCK_BYTES) * _BLOCK_BYTES or _BLOCK_BYTES)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(filled, [nonce])).decode()

    def open(self, closed: str) -> str | None:
        """What was closed; None for a text that this seal has not made."""
        try:
            sealed = base64.b64decode(closed.encode("ascii"), b"-_", validate=True)
            nonce, kept = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(kept, [nonce]).rstrip(b" ").decode()
        except (UnicodeEncodeError, binascii.Error, ValueError, InvalidTag):
            return None
