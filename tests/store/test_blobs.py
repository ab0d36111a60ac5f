"""Artifacts on disk: complete or not there, and never overwritten."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskpush.errors import StoreUnavailable
from taskpush.models.uploads import UploadRef
from taskpush.store.blobs import BadBlob, Blobs


def files(root: Path) -> list[str]:
    return sorted(str(each.relative_to(root)) for each in root.rglob("*") if each.is_file())


async def test_content_is_kept_under_its_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = await blobs.put("t1", b"content")
    assert blob.sha256 == hashlib.sha256(b"content").hexdigest()
    assert blob.size_bytes == 7
    assert blobs.path("t1", blob.sha256).read_bytes() == b"content"
    assert files(tmp_path) == [f"artifacts/t1/{blob.sha256}"]


async def test_a_file_is_copied_and_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    blobs = Blobs(tmp_path / "data")
    blob = await blobs.put("t1", source)
    source.write_bytes(b"changed")
    assert blob.size_bytes == 3_000_000
    assert blobs.path("t1", blob.sha256).stat().st_size == 3_000_000


async def test_the_same_content_is_kept_once_and_other_content_beside_it(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    same = {(await blobs.put("t1", b"a")).sha256 for _ in range(3)}
    other = await blobs.put("t1", b"b")
    assert len(same) == 1
    assert len(files(tmp_path)) == 2
    assert other.sha256 not in same


async def test_the_same_content_can_be_put_at_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    kept = await asyncio.gather(*(blobs.put("t1", b"a" * 100_000) for _ in range(8)))
    assert len(set(kept)) == 1
    assert len(files(tmp_path)) == 1


async def test_what_is_too_large_leaves_nothing_behind(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path, max_bytes=10)
    await blobs.put("t1", b"x" * 10)
    with pytest.raises(BadBlob, match="larger than 10 bytes"):
        await blobs.put("t2", b"x" * 11)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "null byte"])
async def test_what_is_no_readable_file_is_refused_without_its_path(
    tmp_path: Path, kind: str
) -> None:
    source = tmp_path / "source"
    match kind:
        case "folder":
            source.mkdir()
        case "pipe":
            os.mkfifo(source)
        case "null byte":
            source = Path("a\0b")
    with pytest.raises(BadBlob) as caught:
        await Blobs(tmp_path / "data").put("t1", source)
    assert str(tmp_path) not in str(caught.value)


async def test_a_folder_that_cannot_be_written_is_the_stores_failure(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreUnavailable):
        await Blobs(tmp_path).put("t1", b"x")


async def test_sweeping_removes_what_a_killed_server_left_and_nothing_else(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = await blobs.put("t1", b"kept")
    blobs.spool("t1-1").mkdir(parents=True)
    (blobs.spool("part-1")).write_bytes(b"half")
    (blobs.spool("t1-1") / "1").write_bytes(b"spooled")
    await blobs.sweep()
    assert files(tmp_path) == [f"artifacts/t1/{blob.sha256}"]


async def test_checkpoints_lie_apart_and_are_read_as_they_were_kept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = await blobs.put_checkpoint("t1", b"state")
    assert files(tmp_path) == [f"checkpoints/t1/{blob.sha256}"]
    assert await blobs.read_checkpoint("t1", blob.sha256) == b"state"


async def test_a_checkpoint_that_is_gone_or_was_changed_is_no_checkpoint(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = await blobs.put_checkpoint("t1", b"state")
    blobs.checkpoint_path("t1", blob.sha256).write_bytes(b"stale")
    with pytest.raises(BadBlob, match="not what was written"):
        await blobs.read_checkpoint("t1", blob.sha256)
    await blobs.drop_checkpoints("t1")
    with pytest.raises(BadBlob):
        await blobs.read_checkpoint("t1", blob.sha256)


async def test_older_checkpoints_are_dropped_and_only_of_that_task(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.drop_checkpoints("t1")
    old, new = [await blobs.put_checkpoint("t1", each) for each in (b"old", b"new")]
    other = await blobs.put_checkpoint("t2", b"old")
    await blobs.drop_checkpoints("t1", but=new.sha256)
    assert files(tmp_path) == [f"checkpoints/t1/{new.sha256}", f"checkpoints/t2/{other.sha256}"]
    assert other.sha256 == old.sha256


async def test_removing_a_task_removes_all_that_is_kept_for_it(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await blobs.put("t1", b"a")
    await blobs.put_checkpoint("t1", b"b")
    other = await blobs.put("t2", b"a")
    await blobs.remove("t1")
    await blobs.remove("t3")
    assert files(tmp_path) == [f"artifacts/t2/{other.sha256}"]


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def test_content_that_is_still_coming_is_kept_like_any_other(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    whole = b"x" * 1_500_000
    blob = await blobs.put_stream("t1", pieces(b"", whole, whole, b"end"))
    assert blob == await blobs.put("t1", whole + whole + b"end")
    assert files(tmp_path) == [f"artifacts/t1/{blob.sha256}"]


async def test_content_that_stops_coming_or_never_stops_leaves_nothing(tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionResetError

    blobs = Blobs(tmp_path, max_bytes=3_000_000)
    with pytest.raises(ConnectionResetError):
        await blobs.put_stream("t1", cut())
    with pytest.raises(BadBlob, match="larger than 3000000 bytes"):
        await blobs.put_stream("t1", pieces(*[b"x" * 100_000] * 100))
    assert files(tmp_path) == []


async def test_an_upload_lies_under_its_id_and_keeps_how_its_name_ended(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = await blobs.put_upload("u1", ".csv", pieces(b"a,", b"b"))
    ref = UploadRef("u1", "PARTS.Csv", "text/csv", blob.size_bytes, blob.sha256)
    assert files(tmp_path) == [f"uploads/u1/{blob.sha256}.csv"]
    assert blobs.upload_path(ref).read_bytes() == b"a,b"
    assert await blobs.upload_ids() == {"u1"}
    await blobs.remove_uploads(["u1", "never"])
    assert files(tmp_path) == []
    assert await blobs.upload_ids() == set()


async def test_an_upload_has_a_limit_of_its_own(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path, max_bytes=1, max_upload_bytes=3)
    await blobs.put_upload("u1", "", pieces(b"abc"))
    with pytest.raises(BadBlob, match="larger than 3 bytes"):
        await blobs.put_upload("u2", "", pieces(b"abc", b"d"))
    assert await blobs.upload_ids() == {"u1"}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.tar.GZ", ".gz"), ("none", ""), ("x.", ""), ("a.c v", ""), (".env", ".env"), ("a.é", "")],
)
def test_only_plain_endings_reach_the_disk(name: str, suffix: str) -> None:
    assert UploadRef("u1", name, "text/plain", 0, "").suffix == suffix
