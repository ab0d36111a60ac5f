"""What a job says is kept, numbered, merged and bounded."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from taskpush.reporter.backlog import MAX_FILES, Backlog, Batch, File, Said


def line(text: str) -> Said:
    return Said("log", {"message": text}, 100 + len(text))


def iteration(i: int) -> Said:
    return Said("iteration_complete", {"iteration": i}, 120)


DONE = Said("status_change", {"status": "completed"})


def batch(backlog: Backlog) -> Batch:
    found = backlog.next()
    assert isinstance(found, Batch)
    return found


def messages(found: Batch) -> list[Any]:
    return [said.data.get("message", said.event_type) for said in found.events]


def test_a_batch_is_the_same_until_it_is_answered() -> None:
    backlog = Backlog()
    backlog.say(line("a"))
    first = batch(backlog)
    backlog.say(line("b"))
    assert backlog.next() is first
    backlog.taken(2)
    assert batch(backlog).numbered() == [
        {"producer_seq": 2, "event_type": "log", "data": {"message": "b"}}
    ]


def test_of_a_volatile_state_the_newest_is_read_when_it_is_sent() -> None:
    backlog = Backlog()
    for percent in (1, 2, 3):
        newest = Said("progress", {"progress_percent": percent})
        backlog.show("progress", lambda newest=newest: newest)  # type: ignore[misc] # its own
    backlog.say(line("a"))
    assert [said.data for said in batch(backlog).events] == [
        {"message": "a"},
        {"progress_percent": 3},
    ]


def test_the_end_is_the_last_of_all_whatever_is_said_after_it() -> None:
    backlog = Backlog()
    backlog.end(DONE)
    backlog.end(Said("error", {}))
    backlog.show("progress", lambda: Said("progress", {}))
    for n in range(700):
        backlog.say(line(str(n)))
    found: list[Said] = []
    while not backlog.empty:
        sent = batch(backlog)
        found += sent.events
        backlog.taken(sent.last + 1)
    assert found[-1] is DONE
    assert [said.data["message"] for said in found if said.event_type == "log"] == [
        str(n) for n in range(700)
    ]


def test_a_file_keeps_its_place_among_the_events() -> None:
    backlog = Backlog()
    backlog.say(line("before"))
    file = File("a.txt", "text/plain", b"content")
    assert backlog.hand_over(file)
    backlog.say(line("after"))
    assert messages(batch(backlog)) == ["before"]
    backlog.taken(2)
    assert backlog.next() is file
    backlog.handed_over()
    assert messages(batch(backlog)) == ["after"]


def test_there_is_room_for_so_many_files_only() -> None:
    backlog = Backlog(max_bytes=10_000)
    assert not backlog.hand_over(File("large", "text/plain", b"x" * 10_000))
    assert all(backlog.hand_over(File(str(n), "text/plain", 0)) for n in range(MAX_FILES))
    assert not backlog.hand_over(File("more", "text/plain", 0))


def test_without_room_the_oldest_lines_go_first_and_one_line_says_how_many() -> None:
    backlog = Backlog(max_events=100)
    for n in range(150):
        backlog.say(line(str(n)))
        if n % 10 == 0:
            backlog.say(iteration(n))
    found = batch(backlog)
    said = messages(found)
    assert len(said) <= 100
    gap = found.events[0].data
    kept = [text for text in said if text.isdigit()]
    assert kept == [str(n) for n in range(150 - len(kept), 150)]
    assert gap["fields"] == {"missing_lines": 150 - len(kept), "missing_iterations": 0}
    assert gap["message"].startswith(f"{150 - len(kept)} log lines are missing here")
    assert backlog.left_out == 150 - len(kept)
    assert said.count("iteration_complete") == 15


def test_without_lines_to_leave_out_iterations_go() -> None:
    backlog = Backlog(max_bytes=120 * 50)
    for n in range(60):
        backlog.say(iteration(n))
    found = batch(backlog)
    assert found.events[0].data["fields"]["missing_iterations"] == backlog.left_out > 0
    assert found.events[-1].data == {"iteration": 59}


def test_a_server_that_lost_its_newest_events_gets_them_again() -> None:
    backlog = Backlog()
    for text in "abc":
        backlog.say(line(text))
        backlog.taken(batch(backlog).last + 1)
    backlog.say(line("d"))
    assert batch(backlog).first == 4
    assert backlog.go_on_with(2) == 0
    found = batch(backlog)
    assert (found.first, messages(found)) == (2, ["b", "c", "d"])


def test_what_was_taken_too_long_ago_is_lost_and_counted() -> None:
    backlog = Backlog()
    for n in range(3_000):
        backlog.say(line(str(n)))
        backlog.taken(batch(backlog).last + 1)
    backlog.say(line("last"))
    batch(backlog)
    lost = backlog.go_on_with(5)
    assert lost == 3_000 - 1_000 - 4
    found = batch(backlog)
    assert (found.first, messages(found)[0]) == (5, str(3_000 - 1_000))


def test_a_batch_that_was_too_large_is_sent_in_pieces() -> None:
    backlog = Backlog()
    for text in "abcd":
        backlog.say(line(text * 1000))
    assert len(batch(backlog).events) == 4
    backlog.split()
    found = batch(backlog)
    assert (found.first, len(found.events)) == (1, 2)


def test_what_takes_the_place_of_a_refused_event_has_its_number() -> None:
    backlog = Backlog()
    backlog.say(line("a"))
    backlog.end(DONE)
    batch(backlog)
    failed = Said("error", {"error": "no"})
    backlog.replace(1, failed)
    assert batch(backlog).events[1] is failed
    backlog.taken(3)
    assert backlog.empty


class Server:
    """Takes batches as the real one does; its power may fail."""

    def __init__(self) -> None:
        self.log: list[Said] = []

    def post(self, sent: Batch) -> int | None:
        """The next number expected; None for a gap."""
        if sent.last <= len(self.log):
            return len(self.log) + 1
        if sent.first > len(self.log) + 1:
            return None
        self.log += sent.events[len(self.log) + 1 - sent.first :]
        return len(self.log) + 1


STEPS = st.lists(
    st.sampled_from(["say", "say", "show", "send", "send", "answer lost", "power fails"]),
    max_size=60,
)


@given(STEPS)
@example(["say", "send", "say", "send", "power fails", "say", "send", "power fails"])
def test_whatever_fails_all_logged_events_arrive_once_and_in_order(steps: list[str]) -> None:
    backlog, server, said = Backlog(), Server(), 0
    for step in [*steps, "finish"]:
        if step == "say":
            said += 1
            backlog.say(line(str(said)))
        elif step == "show":
            backlog.show("stats", lambda: Said("stats", {}))
        elif step == "power fails":
            del server.log[-1:]
        elif step == "finish":
            # What was lost last is only noticed by the next that is sent.
            said += 1
            backlog.say(line(str(said)))
            while not backlog.empty:
                _send(backlog, server, heard=True)
        else:
            _send(backlog, server, heard=step == "send")
    logged = [each.data["message"] for each in server.log if each.event_type == "log"]
    assert logged == [str(n) for n in range(1, said + 1)]


def _send(backlog: Backlog, server: Server, *, heard: bool) -> None:
    sent = backlog.next()
    if not isinstance(sent, Batch):
        return
    expected = server.post(sent)
    if not heard:
        return
    if expected is None:
        backlog.go_on_with(len(server.log) + 1)
    else:
        backlog.taken(expected)
