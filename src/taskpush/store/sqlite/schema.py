"""The database file: whose it is, which version it has, and how it gets to ours."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import apsw

from taskpush.errors import StoreUnavailable

APPLICATION_ID: Final = 0x7470_7368
"""Stands in the file's header (`tpsh`), so that nothing is done to another program's database."""

MIGRATIONS: Final = ("0001_initial.sql",)
"""Each leads from the version that is its index to the next; a published one never changes."""


def migrate(connection: apsw.Connection) -> None:
    """Bring the file to the present version.

    Raises `StoreUnavailable` for a file that a newer version wrote, or that isn't ours.
    """
    version = _version(connection)
    if version == 0:
        # So that the file can shrink; takes effect on an empty file only.
        connection.pragma("auto_vacuum", "incremental")
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"the data was written by a newer version of taskpush (schema {version}; this version"
            f" knows up to {len(MIGRATIONS)})"
        )
    for number, name in enumerate(MIGRATIONS[version:], version + 1):
        script = files("taskpush.store.sqlite").joinpath("sql", name).read_text("utf-8")
        with connection:  # one transaction: half a migration would be no version at all
            connection.execute(script)
            connection.pragma("user_version", number)
            connection.pragma("application_id", APPLICATION_ID)


def check_present(connection: apsw.Connection) -> None:
    """Raise `StoreUnavailable` unless the file is ours and of the present version."""
    version = _version(connection)
    if version != len(MIGRATIONS):
        raise StoreUnavailable(
            f"the data has schema {version}, this version of taskpush reads {len(MIGRATIONS)}"
        )


def _version(connection: apsw.Connection) -> int:
    application, version = (
        connection.pragma("application_id"),
        connection.pragma("user_version"),
    )
    if application == APPLICATION_ID:
        return int(version)
    if application == 0 and version == 0 and not _has_tables(connection):
        return 0
    raise StoreUnavailable("the file is the database of another program")


def _has_tables(connection: apsw.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").get)
