"""Which positions a log can be continued from. Source of the rule: protocol section 1."""

from __future__ import annotations

from taskpush.errors import PositionGone
from taskpush.models.position import Position


def check_position(after: Position, *, stored_epoch: str | None, oldest: int, head: int) -> None:
    """Raise `PositionGone` unless the log can be continued from `after`.

    `stored_epoch` is that of the event stored at `after.seq`, None when there is none; `oldest`
    and `head` are the first and the last seq that are stored.
    """
    if after.seq == 0 or (after.epoch is None and after.seq == oldest - 1):
        return
    if stored_epoch is None and after.seq > head:
        raise PositionGone(oldest=oldest, reason=f"the log ends at {head}, before {after}")
    if stored_epoch is None:
        raise PositionGone(oldest=oldest, reason=f"the log begins at {oldest}, after {after}")
    if after.epoch is not None and after.epoch != stored_epoch:
        raise PositionGone(oldest=oldest, reason=f"another event was stored at {after.seq} since")
