"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BASE_S: Final = 0.25
CAP_S: Final = 15.0


def full_jitter_s(
    failures: int, random: Callable[[], float], *, base_s: float = BASE_S, cap_s: float = CAP_S
) -> float:
    """Seconds to wait after so many failures in a row: 0 after none.

    Anything from 0 to a bound that doubles with each failure, so that the clients of a server
    that comes back do not arrive together. Source: "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015 ("full jitter"). `random` gives numbers from 0 to 1.
    """
    if failures <= 0:
        return 0.0
    # 2^32 times any base is beyond any cap; more would overflow a float.
    return random() * min(cap_s, base_s * 2.0 ** min(failures - 1, 32))
