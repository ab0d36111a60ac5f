"""Entries of the audit trail as rows."""

from __future__ import annotations

from typing import NamedTuple

from taskpush.models.audit import AuditEntry
from taskpush.store.rows import to_microseconds


class NoteRow(NamedTuple):
    """An entry, and the document that is kept of it."""

    at_us: int
    entry: AuditEntry
    doc: str


def note_row(entry: AuditEntry) -> NoteRow:
    """The row of an entry; raises `ValueError` for a text that has no UTF-8 form."""
    return NoteRow(to_microseconds(entry.at), entry, entry.model_dump_json())
