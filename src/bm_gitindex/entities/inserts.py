"""Writing many new rows: each table's statement is compiled once, and a batch costs little more than the driver's time.

SQLAlchemy's own executemany looks at every value of every row by name; of a first sync that was more than SQLite took.
Here it makes the text of the statement and converts the values, column by column.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import JSON, func, insert, select

from bm_gitindex.entities.chunks import INSERT_CHUNK, chunks
from bm_gitindex.entities.database import json_text
from bm_gitindex.entities.schema import entity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Dialect, Table
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.types import TypeEngine

_KEPT_STATEMENTS = 8
"""One for each table, of the databases in use: a process that syncs for years keeps no dialect of long ago."""


class _Prepared(NamedTuple):
    """An insert into some columns of a table, in one dialect's words."""

    statement: str
    processors: tuple[tuple[int, Callable[[Any], Any]], ...]
    """By position: what turns a value into one that the driver takes, where it does not take it as it is."""


async def insert_rows(
    connection: AsyncConnection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Insert rows whose values stand in the order of `columns`, which is that of the table."""
    statement, processors = _prepared(table, tuple(columns), connection.dialect)
    for chunk in chunks(rows, INSERT_CHUNK):
        by_column: list[Iterable[object]] = list(zip(*chunk, strict=True))
        for position, processor in processors:
            by_column[position] = map(processor, by_column[position])
        await connection.exec_driver_sql(statement, list(zip(*by_column, strict=True)))


async def insert_entities(
    connection: AsyncConnection, project_id: int, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> list[int]:
    """Insert entities of a project, and return their ids in the order of `rows`.

    Each id is greater than all that were given before, and only one process writes to a project: what of the project
    is above the greatest id so far is what was inserted.
    """
    before = (await connection.execute(select(func.max(entity.c.id)))).scalar() or 0
    await insert_rows(connection, entity, columns, rows)
    inserted = select(entity.c.id).where(entity.c.project_id == project_id, entity.c.id > before).order_by(entity.c.id)
    return list((await connection.execute(inserted)).scalars())


@lru_cache(_KEPT_STATEMENTS)
def _prepared(table: Table, columns: tuple[str, ...], dialect: Dialect) -> _Prepared:
    # Inline: otherwise it would ask for the new key.
    compiled = insert(table).inline().compile(dialect=dialect, column_keys=list(columns))
    if tuple(compiled.positiontup or ()) != columns:
        raise ValueError(f"not in the order of {table}: {', '.join(columns)}")
    converters = (_converter(table.c[name].type, dialect) for name in columns)
    return _Prepared(
        str(compiled), tuple((position, convert) for position, convert in enumerate(converters) if convert)
    )


def _converter(column_type: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what SQLAlchemy would do to each value, None where it would do nothing."""
    if isinstance(column_type, JSON):
        return json_text  # which it would call by two others
    return column_type.dialect_impl(dialect).bind_processor(dialect)
