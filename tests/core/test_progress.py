"""From what a handler knows to what people read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskpush.core.progress import BadReport, ProgressReport, ProgressState


def after(*reports: ProgressReport) -> ProgressState:
    state = ProgressState()
    for report in reports:
        state = state.advance(report)
    return state


def test_done_of_total_is_a_percentage() -> None:
    assert after(ProgressReport(done=3, total=12)).percent == 25


def test_a_fraction_is_a_percentage() -> None:
    assert after(ProgressReport(fraction=0.375)).percent == 37.5


def test_without_a_total_the_percentage_is_unknown() -> None:
    data = after(ProgressReport(done=3)).payload(1.0).to_data()
    assert data["progress_percent"] is None
    assert data["completed"] == 3


def test_a_total_is_remembered() -> None:
    assert after(ProgressReport(total=4), ProgressReport(done=1)).percent == 25


def test_more_than_the_total_is_all_of_it() -> None:
    assert after(ProgressReport(done=5, total=4)).percent == 100


def test_a_total_of_nothing_says_nothing() -> None:
    assert after(ProgressReport(done=0, total=0)).percent is None


@pytest.mark.parametrize(
    "report",
    [
        ProgressReport(done=math.nan),
        ProgressReport(done=1, total=math.inf),
        ProgressReport(done=-1, total=4),
        ProgressReport(done=2**60),
        ProgressReport(fraction=1.01),
        ProgressReport(fraction=-0.01),
        ProgressReport(fraction=math.nan),
        ProgressReport(done=1, fraction=0.5),
    ],
)
def test_numbers_that_cannot_be_true_are_refused(report: ProgressReport) -> None:
    with pytest.raises(BadReport):
        ProgressState().advance(report)


def test_progress_that_goes_back_is_refused() -> None:
    state = after(ProgressReport(done=2, total=4))
    with pytest.raises(BadReport, match="from 50 to 25 percent"):
        state.advance(ProgressReport(done=1))


def test_what_a_report_leaves_out_stays_as_it_was() -> None:
    state = after(
        ProgressReport(done=1, total=4, message="one", unit="cell"),
        ProgressReport(message="two"),
    )
    data = state.payload(2.0).to_data()
    assert (data["completed"], data["message"], data["unit"]) == (1, "two", "cell")


def test_a_new_stage_drops_the_description_of_the_old_one() -> None:
    state = after(
        ProgressReport(stage="mesh", stage_description="making the mesh"),
        ProgressReport(stage="solve"),
    )
    assert "stage_description" not in state.payload(1.0).to_data()


def test_iterations_are_shown_as_such_counted_from_one() -> None:
    before = after(ProgressReport(done=0, total=4, unit="iteration")).payload(1.0).to_data()
    assert "current_iteration" not in before
    assert before["max_iterations"] == 4
    first = after(ProgressReport(done=1, total=4, unit="iteration")).payload(1.0).to_data()
    assert (first["current_iteration"], first["max_iterations"]) == (1, 4)


def test_other_units_are_no_iterations() -> None:
    data = after(ProgressReport(done=1, total=4, unit="page")).payload(1.0).to_data()
    assert "current_iteration" not in data
    assert "max_iterations" not in data


def test_rate_and_remaining_time_are_those_of_the_attempt_so_far() -> None:
    data = after(ProgressReport(done=20, total=80)).payload(10.0).to_data()
    assert data["rate_per_s"] == 2
    assert data["eta_seconds"] == 30
    assert data["elapsed_seconds"] == 10


def test_nothing_is_estimated_from_nothing() -> None:
    data = after(ProgressReport(done=0, total=80)).payload(0.0).to_data()
    assert "rate_per_s" not in data
    assert "eta_seconds" not in data


@given(
    st.lists(
        st.one_of(
            st.builds(ProgressReport, done=st.floats(0, 1e6), total=st.floats(0, 1e6)),
            st.builds(ProgressReport, fraction=st.floats(0, 1)),
            st.builds(ProgressReport, message=st.text()),
        )
    )
)
def test_whatever_is_reported_the_percentage_never_falls(reports: list[Any]) -> None:
    state, shown = ProgressState(), 0.0
    for report in reports:
        try:
            state = state.advance(report)
        except BadReport:
            continue
        assert (state.percent or 0.0) >= shown
        shown = state.percent or 0.0


def test_a_rate_is_of_what_this_attempt_has_done() -> None:
    first = ProgressReport(done=60, total=100, initial=60)
    data = after(first, ProgressReport(done=70)).payload(10.0).to_data()
    assert (data["rate_per_s"], data["eta_seconds"]) == (1.0, 30.0)


@pytest.mark.parametrize(
    "reports",
    [
        [ProgressReport(done=0, total=100), ProgressReport(done=60), ProgressReport(done=70)],
        [ProgressReport(fraction=0.6), ProgressReport(fraction=0.7)],
    ],
)
def test_what_a_resumed_attempt_reports_first_was_done_before(
    reports: list[ProgressReport],
) -> None:
    state = ProgressState(resumed=True)
    for report in reports[:-1]:
        state = state.advance(report)
    assert "eta_seconds" not in state.payload(0.1).to_data()
    assert state.advance(reports[-1]).payload(10.0).to_data()["eta_seconds"] == 30.0
