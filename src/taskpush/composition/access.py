"""Who is let in, as the settings say."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from taskpush.access.authenticator import Authenticator
from taskpush.access.hook import DependencyHook
from taskpush.access.jwks import Jwks, fetch_from
from taskpush.access.jwt import JwtAuthenticator, JwtRules, KeySource, OneKey
from taskpush.access.keys import KeyRing
from taskpush.access.revocations import FILE as REVOKED_FILE
from taskpush.access.revocations import Revocations
from taskpush.access.tokens import TokenMint
from taskpush.settings import Settings
from taskpush.telemetry.bus import Telemetry


def authenticator_of(
    settings: Settings,
    telemetry: Telemetry,
    mint: TokenMint,
    authenticate: Callable[..., Any] | None,
    stack: AsyncExitStack,
) -> Authenticator:
    """What tells who somebody is: by key, token or hook, as the settings say."""
    jwt = None
    if settings.jwt_configured:
        keys = _jwt_keys(settings, telemetry, stack)
        jwt = JwtAuthenticator(_jwt_rules(settings), keys)
    hook = None if authenticate is None else DependencyHook(authenticate)
    ring = KeyRing(settings.keys_file, telemetry, time.time)
    return Authenticator(ring, time.time, telemetry, mint=mint, jwt=jwt, hook=hook)


def tokens(settings: Settings, secret: bytes) -> tuple[Revocations, TokenMint]:
    """What is made and revoked stays so over a restart, unless the server forgets everything."""
    file = None if settings.store == "memory" else settings.data / REVOKED_FILE
    revocations = Revocations(file, time.time)
    return revocations, TokenMint(secret, revocations, time.time)


def _jwt_keys(settings: Settings, telemetry: Telemetry, stack: AsyncExitStack) -> KeySource:
    secret = settings.shared_secret
    if secret is not None:
        return OneKey(secret)
    if settings.jwt_public_key is not None:
        return OneKey(settings.jwt_public_key.read_bytes())
    assert settings.jwt_jwks is not None  # As the settings have made sure.
    fetch = fetch_from(settings.jwt_jwks)
    keys = Jwks(fetch, settings.jwt_algorithms, telemetry, time.monotonic)
    stack.push_async_callback(keys.close)
    return keys


def _jwt_rules(settings: Settings) -> JwtRules:
    assert settings.jwt_audience is not None  # As the settings have made sure.
    assert settings.jwt_issuer is not None
    return JwtRules(
        algorithms=settings.jwt_algorithms,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway_s=settings.jwt_leeway_s,
        owner_claim=settings.jwt_owner_claim,
        tenant_claim=settings.jwt_tenant_claim,
        roles_claim=settings.jwt_roles_claim,
        roles=frozenset(settings.jwt_roles),
    )
