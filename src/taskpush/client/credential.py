"""What a client shows of who it is."""

from __future__ import annotations

from collections.abc import Callable

Token = str | Callable[[], str] | None
"""An API key or a token, or what gives the present one; None where no access is configured.

A function is called for each request and each new connection, and must not block.
"""


class Credential:
    """Shows the token where it belongs, which is never the address."""

    def __init__(self, token: Token) -> None:
        self._token = token

    @property
    def renewable(self) -> bool:
        """Whether it may be another one the next time."""
        return callable(self._token)

    @property
    def headers(self) -> dict[str, str]:
        """For a request."""
        token = self._present
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    @property
    def auth(self) -> dict[str, str] | None:
        """For the CONNECT of Socket.IO; None when there is nothing to show."""
        token = self._present
        return None if token is None else {"token": token}

    @property
    def _present(self) -> str | None:
        return self._token() if callable(self._token) else self._token

    def __repr__(self) -> str:
        return "Credential(…)"
