"""Keys of an issuer, and tokens signed with them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE: Final = "taskpush.example"
ISSUER: Final = "https://issuer.example"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: PrivateKey) -> bytes:
    """The public half."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def jwk(key: PrivateKey, kid: str | None, **more: Any) -> dict[str, Any]:
    """The public half, as an entry of a JWKS document."""
    public = key.public_key()
    text = (
        RSAAlgorithm.to_jwk(public)
        if isinstance(public, rsa.RSAPublicKey)
        else ECAlgorithm.to_jwk(public)
    )
    named = {} if kid is None else {"kid": kid}
    return {**orjson.loads(text), "use": "sig", **named, **more}


def jwks(*entries: dict[str, Any]) -> bytes:
    return orjson.dumps({"keys": list(entries)})


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; a claim that is None is left out."""
    said = {"sub": "ann", "aud": AUDIENCE, "iss": ISSUER, "exp": time.time() + 300, **changes}
    return {name: value for name, value in said.items() if value is not None}


def token(key: PrivateKey | str | bytes, algorithm: str, *, kid: Any = None, **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def b64(data: bytes) -> str:
    """As the parts of a token are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: dict[str, Any], key: bytes | None = None, **changes: Any) -> str:
    """A token as the library would not make it; with a key it has an HMAC of SHA-256."""
    said = f"{b64(orjson.dumps(header))}.{b64(orjson.dumps(claims(**changes)))}"
    mac = b"" if key is None else hmac.digest(key, said.encode(), hashlib.sha256)
    return f"{said}.{b64(mac)}"
