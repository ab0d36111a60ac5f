"""The proxy that the environment names for an address: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The proxy's address; None when there is none to be used.

    Not left to the HTTP library, which would take credentials from `~/.netrc` with it.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return None if proxy is None or proxy_bypass(parts.netloc) else proxy
