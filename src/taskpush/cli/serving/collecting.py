"""When Python's cycle collector looks for garbage, in a process that is a server and nothing else.

An application that embeds us keeps its own settings. Measured: docs/adr/0008-cycle-collector.md.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""So many more objects than at the last look, by default 700: the events of one moment are no
reason to look, for they are freed without."""


def collect_later() -> None:
    """Not before `collect_rarely`: what is loaded stays, and is not worth looking through.

    To be called before anything is loaded.
    """
    gc.disable()


def collect_rarely() -> None:
    """What exists now stays for good and is not looked at again; the rest is, less often.

    To be called when everything is loaded and started.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
