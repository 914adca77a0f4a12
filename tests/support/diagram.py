"""The entity-relationship diagram of the tables, drawn from their metadata.

    cd tests && python -m support.diagram

writes it into docs/entities.md, in Mermaid's notation, together with the list of the columns that want a word there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import UniqueConstraint

from bm_gitindex.entities.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Column, ForeignKey, Table

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "entities.md"
START, END = "```mermaid\n", "```\n"


def diagram() -> str:
    """Return the diagram of all tables."""
    lines = ["erDiagram"]
    for table in metadata.sorted_tables:
        lines += (f"    {_relation(key)}" for key in sorted(table.foreign_keys, key=lambda key: key.parent.name))
    for table in metadata.sorted_tables:
        lines.append(f"    {table.name} {{")
        lines += (f"        {_attribute(table, column)}" for column in table.columns)
        lines.append("    }")
    return "\n".join(lines) + "\n"


def drawn_in(text: str) -> str:
    """Return the diagram that a document has."""
    return text.partition(START)[2].partition(END)[0]


def _relation(key: ForeignKey) -> str:
    one = "|o" if key.parent.nullable else "||"
    return f'{key.column.table.name} {one}--o{{ {key.parent.table.name} : "{key.parent.name}"'


def _attribute(table: Table, column: Column[object]) -> str:
    keys = [
        name
        for name, is_one in (
            ("PK", column.primary_key),
            ("FK", bool(column.foreign_keys)),
            ("UK", any(_is_alone_in(one, column) for one in table.constraints)),
        )
        if is_one
    ]
    null = ' "may be null"' if column.nullable else ""
    kind = type(getattr(column.type, "impl_instance", column.type)).__name__.lower()
    return f"{kind} {column.name} {', '.join(keys)}".rstrip() + null


def _is_alone_in(constraint: object, column: Column[object]) -> bool:
    return isinstance(constraint, UniqueConstraint) and list(constraint.columns) == [column]


def main() -> None:
    """Renew the diagram in the document."""
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(text.replace(START + drawn_in(text), START + diagram(), 1), "utf-8")


if __name__ == "__main__":
    main()
