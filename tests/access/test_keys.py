"""API keys: made, shown once, looked up, revoked."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from taskpush.access.keys import KeyProblem, KeyRing, create_key, read_keys, revoke_key
from taskpush.access.principal import Principal, Role
from taskpush.errors import AccessEnded, Unauthenticated
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import KeysUnreadable, TelemetryEvent
from tests.support.keys import secret_part

ROLES = (Role.CREATE, Role.READ)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.json"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[TelemetryEvent]:
    return []


@pytest.fixture
def ring(path: Path, clock: Clock, said: list[TelemetryEvent]) -> KeyRing:
    return KeyRing(path, Telemetry(said.append), clock)


def make(path: Path, name: str = "ci", *, expires_at: float | None = None) -> str:
    return create_key(
        path, name, roles=ROLES, owner="ann", tenant="acme", now=1000, expires_at=expires_at
    )


def test_a_key_shows_whose_it_is(path: Path, ring: KeyRing) -> None:
    admission = ring.admit(make(path))
    assert admission.principal == Principal("acme", "ann", frozenset(ROLES))
    assert admission.credential == f"key:{read_keys(path)[0].id}"
    assert admission.expires_at is None


def test_neither_the_file_nor_anything_beside_it_holds_the_key_or_is_for_others(
    path: Path,
) -> None:
    secret = secret_part(make(path))
    for file in path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {file.name for file in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace(key[4:20], "0" * 16),
        lambda key: key + "A",
        lambda key: key[:-1],
        lambda key: key.upper(),
        lambda key: key + "\n",
        lambda key: "tpk_" + "é" * 60,
        lambda key: "tpk_../../etc/passwd",
    ],
)
def test_anything_but_the_key_itself_is_nobodys(path: Path, ring: KeyRing, change: object) -> None:
    assert callable(change)
    with pytest.raises(Unauthenticated):
        ring.admit(change(make(path)))


def test_a_running_server_heeds_new_and_revoked_keys_at_once(path: Path, ring: KeyRing) -> None:
    assert ring.in_use is path.exists()
    key = make(path)
    assert ring.in_use
    key_id = read_keys(path)[0].id
    ring.admit(key)
    assert ring.lets_in(key_id)
    assert revoke_key(path, "ci", now=1001).id == key_id
    assert not ring.lets_in(key_id)
    with pytest.raises(AccessEnded):
        ring.admit(key)
    other = make(path)
    ring.admit(other)


def test_a_key_expires(path: Path, ring: KeyRing, clock: Clock) -> None:
    key = make(path, expires_at=1060)
    assert ring.admit(key).expires_at == 1060
    clock.now = 1060
    with pytest.raises(AccessEnded):
        ring.admit(key)
    assert not ring.lets_in(read_keys(path)[0].id)


def test_names_are_used_once_at_a_time(path: Path) -> None:
    make(path)
    with pytest.raises(KeyProblem, match="already"):
        make(path)
    revoke_key(path, "ci", now=1001)
    make(path)
    with pytest.raises(KeyProblem, match="no key named other"):
        revoke_key(path, "other", now=1001)
    assert [key.revoked_at for key in read_keys(path)] == [1001, None]


@pytest.mark.parametrize(
    "wrong", [{"name": "a b"}, {"owner": ""}, {"owner": "ann\u202e"}, {"tenant": "a\nb"}]
)
def test_names_that_cannot_be_are_refused(path: Path, wrong: dict[str, str]) -> None:
    given = {"name": "ci", "owner": "ann", "tenant": "acme"} | wrong
    name, owner, tenant = given.values()
    with pytest.raises(KeyProblem):
        create_key(path, name, owner=owner, tenant=tenant, roles=ROLES, now=1000)
    assert not path.exists()


@pytest.mark.parametrize("ruin", [lambda path: path.unlink(), lambda path: path.write_text("[")])
def test_without_its_file_a_server_that_had_keys_lets_nobody_in(
    path: Path, ring: KeyRing, said: list[TelemetryEvent], ruin: object
) -> None:
    assert callable(ruin)
    key = make(path)
    ring.admit(key)
    ruin(path)
    with pytest.raises(Unauthenticated):
        ring.admit(key)
    assert ring.in_use
    assert [type(event) for event in said] == [KeysUnreadable] * path.exists()


def test_a_file_that_was_there_at_the_start_counts_before_anybody_asks(
    path: Path, clock: Clock
) -> None:
    make(path)
    ring = KeyRing(path, Telemetry(), clock)
    path.unlink()
    assert ring.in_use


def test_a_folder_that_cannot_be_looked_into_any_more_lets_nobody_in(
    path: Path, ring: KeyRing, said: list[TelemetryEvent]
) -> None:
    key = make(path)
    ring.admit(key)
    path.unlink()
    path.with_name("keys.json.lock").unlink()
    path.parent.rmdir()
    # As root, who may look anywhere: no folder, but a file.
    path.parent.write_text("")
    assert ring.in_use
    assert not ring.lets_in(key.split("_")[1])
    with pytest.raises(Unauthenticated):
        ring.admit(key)
    assert [type(event) for event in said] == [KeysUnreadable]


def test_the_folder_that_is_made_for_them_is_its_owners_alone(path: Path) -> None:
    make(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_keys_that_are_made_at_once_are_all_kept(path: Path) -> None:
    makers = [threading.Thread(target=make, args=(path, f"k{n}")) for n in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {key.name for key in read_keys(path)} == {f"k{n}" for n in range(8)}
