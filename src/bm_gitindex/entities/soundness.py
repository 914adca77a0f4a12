"""Whether a database is damaged: every page and every value is looked at.

SQLite notices damage only in what it reads, and a flipped bit in a value not even there. So this is asked when
something went wrong that nothing else explains, and where the user wants everything to be looked at.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Boolean, Integer, LargeBinary, create_engine, func, inspect, literal, select
from sqlalchemy.exc import SQLAlchemyError

from bm_gitindex.entities.location import located
from bm_gitindex.entities.schema import metadata, project
from bm_gitindex.entities.sqliteerrors import damaged, translated
from bm_gitindex.entities.tie import LOCAL_PROJECT, read_only_uri
from bm_gitindex.errors import BmGitIndexError, DatabaseDamagedError, EntityMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table
    from sqlalchemy.types import TypeEngine

    from bm_gitindex.entities.location import Location

_ROWS_AT_ONCE = 500


@contextmanager
def damage_told(database: Location | Path) -> Iterator[None]:
    """Raise DatabaseDamagedError for an error in the body that damage explains.

    Any other error stays what it is: a fault of this program must not cost anybody a database.
    """
    try:
        yield
    except BmGitIndexError as error:
        if isinstance(error, EntityMissingError) and (found := _damage_of(database)) is not None:
            raise damaged(database, found) from error
        raise
    except Exception as error:
        found = _damage_of(database)
        if found is None:
            raise
        raise damaged(database, found) from error


def require_sound(database: Location | Path) -> None:
    """Raise DatabaseDamagedError for a database that is not sound."""
    found = _damage_of(database)
    if found is not None:
        raise damaged(database, found)


def _damage_of(database: Location | Path) -> str | None:
    file = located(database).file
    return None if file is None else find_damage(file)


def find_damage(database: Path) -> str | None:
    """Return what is wrong with a database, None for one that is sound, or that cannot be looked at now."""
    try:
        uri = read_only_uri(database)
    except ValueError as error:
        return str(error)
    except OSError:
        return None
    if uri is None:
        return None
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
    try:
        with engine.connect() as connection:
            return _damage(connection)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        return _as_damage(cause, database) if isinstance(cause, sqlite3.Error) else str(error)
    finally:
        engine.dispose()


def _as_damage(error: sqlite3.Error, database: Path) -> str | None:
    """Return what an error says of the file; None where it speaks of the disk, or of another program."""
    reported = translated(error, database)
    return str(error) if reported is None or isinstance(reported, DatabaseDamagedError) else None


def _damage(connection: Connection) -> str | None:
    (verdict,) = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalars()
    if verdict != "ok":
        return str(verdict)
    if not inspect(connection).get_table_names():
        return None  # the first run ended before it made any
    violation = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if violation is not None:
        return f"a row of {violation[0]} points to a row that does not exist"
    others = connection.execute(select(func.count()).where(project.c.name != LOCAL_PROJECT)).scalar_one()
    if others:
        return "it holds a project that is not this one"
    for table in metadata.sorted_tables:
        found = _wrong_type(connection, table) or _unreadable_value(connection, table)
        if found is not None:
            return found
    return None


def _wrong_type(connection: Connection, table: Table) -> str | None:
    """Return the first column that holds a value of another type than its own; SQLite lets any column hold any."""
    for column in table.columns:
        types = [_stored_as(column.type), *(["null"] if column.nullable else [])]
        query = select(column).where(func.typeof(column).not_in(types)).with_only_columns(literal(1)).limit(1)
        if connection.execute(query).first() is not None:
            return f"{table}.{column.name} holds a value of a wrong type"
    return None


def _stored_as(column_type: TypeEngine[object]) -> str:
    own: object = getattr(column_type, "impl_instance", column_type)
    if isinstance(own, LargeBinary):
        return "blob"
    return "integer" if isinstance(own, Integer | Boolean) else "text"


def _unreadable_value(connection: Connection, table: Table) -> str | None:
    """Return the first value that is none of its column's: a half date, JSON that has no end."""
    try:
        with closing(connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(table))) as rows:
            for _ in rows:
                pass
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        return f"{table} holds a value that cannot be read ({error})"
    return None
