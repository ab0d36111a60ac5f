"""What stays of finished tasks, against the limits themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskpush.core.retention import Fate, FinishedTask, Judge, Keep, Retention, pays_to_shrink

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
MIB = 1024 * 1024


def finished(age_h: float, *, kind: str = "a", size: int = 100, events: int = 5) -> FinishedTask:
    """A task whose record takes 10 bytes and its log `size`, a tenth of that its last event."""
    return FinishedTask(
        task_id=f"{kind}{age_h}",
        kind=kind,
        order=1,
        attempt=1,
        finished_at=NOW - age_h * HOUR,
        events=events,
        log_bytes=size,
        last_event_bytes=size if events == 1 else size // 10,
        record_bytes=10,
    )


def fates(tasks: Sequence[FinishedTask], retention: Retention, **of_kinds: Retention) -> list[str]:
    judge = Judge(NOW, retention, of_kinds)
    return [judge.judge(task).name.lower() for task in tasks]


FIVE = [finished(age_h) for age_h in (2, 3, 4, 5, 6)]


@pytest.mark.parametrize(
    ("retention", "expected"),
    [
        (Retention(), "keep keep keep keep keep"),
        (Retention(tasks=Keep(max_age=4 * HOUR)), "keep keep keep delete delete"),
        (Retention(logs=Keep(max_age=4 * HOUR)), "keep keep keep trim trim"),
        (Retention(tasks=Keep(max_count=2)), "keep keep delete delete delete"),
        (Retention(logs=Keep(max_count=1)), "keep trim trim trim trim"),
        (Retention(tasks=Keep(max_bytes=220)), "keep keep delete delete delete"),
        (Retention(logs=Keep(max_bytes=200)), "keep keep trim trim trim"),
        # A trimmed task takes 20 bytes: two whole ones and two of those fit.
        (
            Retention(tasks=Keep(max_bytes=260), logs=Keep(max_count=2)),
            "keep keep trim trim delete",
        ),
        (Retention(tasks=Keep(max_count=0)), "delete delete delete delete delete"),
    ],
)
def test_the_newest_stay(retention: Retention, expected: str) -> None:
    assert " ".join(fates(FIVE, retention)) == expected


def test_a_trimmed_log_is_not_trimmed_again() -> None:
    assert fates([finished(3, events=1)], Retention(logs=Keep(max_age=HOUR))) == ["keep"]


def test_files_count_as_bytes_of_the_task() -> None:
    large = replace(finished(2), file_bytes=1000)
    assert fates([large], Retention(tasks=Keep(max_bytes=1109))) == ["delete"]
    assert fates([large], Retention(tasks=Keep(max_bytes=1110))) == ["keep"]


def test_a_kind_of_its_own_is_counted_by_itself() -> None:
    tasks = [finished(age, kind="ab"[age % 2]) for age in range(2, 8)]
    shared, own = Retention(tasks=Keep(max_count=1)), Retention(tasks=Keep(max_count=2))
    assert fates(tasks, shared) == ["keep", *["delete"] * 5]
    assert fates(tasks, shared, b=own) == ["keep", "keep", "delete", "keep", "delete", "delete"]
    assert fates(tasks, shared, b=Retention())[1::2] == ["keep"] * 3


def test_limits_of_amount_spare_what_has_just_ended() -> None:
    tasks = [finished(age_h) for age_h in (0.1, 0.2, 0.9, 1.1)]
    retention = Retention(tasks=Keep(max_count=1, max_bytes=0), logs=Keep(max_bytes=0))
    assert fates(tasks, retention) == ["keep", "keep", "keep", "delete"]
    assert fates(tasks, replace(retention, spare=timedelta(0))) == ["delete"] * 4
    # An age is meant as it is said.
    by_age = Retention(tasks=Keep(max_age=HOUR / 2))
    assert fates(tasks, by_age) == ["keep", "keep", "delete", "delete"]


def test_what_no_limit_can_reach_need_not_be_looked_at() -> None:
    ages = Retention(tasks=Keep(max_age=9 * HOUR), logs=Keep(max_age=3 * HOUR))
    assert Judge(NOW, ages, {"b": Retention()}).horizon == NOW - 3 * HOUR
    assert Judge(NOW, ages, {"b": Retention(tasks=Keep(max_age=HOUR))}).horizon == NOW - HOUR
    assert Judge(NOW, ages, {"b": Retention(logs=Keep(max_count=9))}).horizon is None
    assert Judge(NOW, Retention()).keeps_everything
    assert not Judge(NOW, ages).keeps_everything
    assert not Judge(NOW, Retention(), {"b": ages}).keeps_everything
    assert not Judge(NOW, ages).counts_files
    assert Judge(NOW, Retention(tasks=Keep(max_bytes=1))).counts_files


@pytest.mark.parametrize(
    "wrong", [{"max_age": -HOUR}, {"max_count": -1}, {"max_bytes": -1}, {"max_count": 1.5}]
)
def test_a_limit_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Keep(**wrong)  # type: ignore[arg-type]  # that is the point


def test_a_file_is_shortened_when_that_pays() -> None:
    assert not pays_to_shrink(0, 0)
    assert not pays_to_shrink(0, 31 * MIB)
    assert pays_to_shrink(128 * MIB, 32 * MIB)
    assert not pays_to_shrink(200 * MIB, 32 * MIB)


LIMITS = st.builds(
    Keep,
    max_age=st.none() | st.integers(0, 12).map(lambda hours: hours * HOUR),
    max_count=st.none() | st.integers(0, 6),
    max_bytes=st.none() | st.integers(0, 600),
)
RETENTIONS = st.builds(
    Retention, tasks=LIMITS, logs=LIMITS, spare=st.sampled_from([timedelta(0), HOUR, 3 * HOUR])
)
TASKS = st.lists(
    st.builds(
        finished,
        st.integers(0, 12).map(float),
        kind=st.sampled_from("ab"),
        size=st.integers(1, 200),
        events=st.sampled_from([1, 2, 7]),
    ),
    max_size=12,
).map(lambda tasks: sorted(tasks, key=lambda task: task.finished_at, reverse=True))


# The third log would fit by itself, but it is older than one that did not.
@example(
    [finished(0, size=1), finished(0, size=2), finished(0, size=1)],
    Retention(tasks=Keep(max_bytes=31), logs=Keep(max_bytes=2), spare=timedelta(0)),
    None,
)
@given(TASKS, RETENTIONS, st.none() | RETENTIONS)
def test_what_stays_fits_the_limits_and_what_goes_does_not(
    tasks: list[FinishedTask], shared: Retention, own: Retention | None
) -> None:
    of_kinds = {} if own is None else {"b": own}
    judge = Judge(NOW, shared, of_kinds)
    judged = [(task, judge.judge(task)) for task in tasks]
    if own is None:
        check(judged, shared)
    else:
        check([each for each in judged if each[0].kind == "b"], own)
        check([each for each in judged if each[0].kind != "b"], shared)
    left = [after(task, fate) for task, fate in judged if fate is not Fate.DELETE]
    again = Judge(NOW, shared, of_kinds)
    assert {again.judge(task) for task in left} <= {Fate.KEEP}


def after(task: FinishedTask, fate: Fate) -> FinishedTask:
    """What is left of a task that is not deleted."""
    if fate is Fate.KEEP:
        return task
    return replace(task, events=1, log_bytes=task.last_event_bytes)


def check(judged: Sequence[tuple[FinishedTask, Fate]], retention: Retention) -> None:
    """Each fate by itself, from the sums over all newer tasks that were kept."""
    # Once a log did not fit, no older one is kept whole, however small.
    logs_full = False
    for number, (task, fate) in enumerate(judged):
        age = NOW - task.finished_at
        newer = [after(each, what) for each, what in judged[:number] if what is not Fate.DELETE]
        logs = [each.log_bytes for each in newer if each.events > 1]
        sizes = [each.log_bytes + each.record_bytes for each in newer]
        whole = age >= retention.spare
        # Trimmed unless it was so before, whatever then becomes of the task.
        over_logs = retention.logs.max_age is not None and age > retention.logs.max_age
        logs_fit = fits(retention.logs, [*logs, task.log_bytes])
        over_logs |= logs_full or (whole and not logs_fit)
        would_trim = task.events > 1 and over_logs
        size = task.record_bytes + (task.last_event_bytes if would_trim else task.log_bytes)
        over_tasks = retention.tasks.max_age is not None and age > retention.tasks.max_age
        over_tasks |= whole and not fits(retention.tasks, [*sizes, size])
        if over_tasks:
            assert fate is Fate.DELETE
        elif would_trim:
            assert fate in {Fate.TRIM, Fate.DELETE}
        # The other way round: what goes is over a limit, or older than what was.
        if fate is Fate.DELETE and not over_tasks:
            assert Fate.DELETE in {what for _, what in judged[:number]}
        if fate is Fate.TRIM:
            assert would_trim
        logs_full |= task.events > 1 and whole and not logs_fit


def fits(keep: Keep, sizes: Sequence[int]) -> bool:
    count_fits = keep.max_count is None or len(sizes) <= keep.max_count
    return count_fits and (keep.max_bytes is None or sum(sizes) <= keep.max_bytes)
