"""docs/entities.md: diagram and columns are those of the tables; the example, commands and queries run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bm_gitindex import Project
from bm_gitindex.cli import main
from bm_gitindex.entities.schema import metadata
from support.diagram import DOCUMENT, diagram, drawn_in

ROOT = Path(__file__).parent.parent
TEXT = DOCUMENT.read_text("utf-8")


def test_the_diagram_is_that_of_the_tables() -> None:
    assert drawn_in(TEXT) == diagram(), "renew it: cd tests && python -m support.diagram"


def test_every_table_and_column_is_explained_in_the_order_of_the_tables() -> None:
    sections = re.findall(r"^### `([a-z_]+)`\n(.*?)(?=^#|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    explained = {table: re.findall(r"^\| `([a-z_]+)` \|", section, flags=re.MULTILINE) for table, section in sections}
    assert explained == {name: list(table.columns.keys()) for name, table in metadata.tables.items()}
    assert list(explained) == list(metadata.tables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the example vault in it, synced, as the documents assume."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "fixtures", folder / "fixtures", ignore=shutil.ignore_patterns(".basic-memory"))
    Project(folder / "fixtures" / "vault").sync_blocking()
    return folder


@pytest.mark.parametrize("query", re.findall(r"<!-- query -->\n```sql\n(.*?)```\n", TEXT, flags=re.DOTALL))
def test_every_query_finds_something_in_the_fixtures(folder: Path, query: str) -> None:
    database = folder / "fixtures" / "vault" / ".basic-memory" / "entities.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute(query).fetchall()


@pytest.mark.parametrize("command", re.findall(r"^\$ bm-gitindex (.+)$", TEXT, flags=re.MULTILINE))
def test_every_command_is_one(folder: Path, command: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    known = command.replace("bees/hive-inspection", "bees/varroa")  # the page's own example is no note of the vault
    code = main(["-C", str(folder / "fixtures" / "vault"), *shlex.split(known)])
    assert (code, capfdbinary.readouterr().err) == (0, b"")


def test_the_shapes_of_json_are_those_of_the_page(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    said = TEXT.partition("With `--json`")[2].partition("\n\n")[0]
    for command in ("find", "links --orphans", "links --unresolved", "links home"):
        main(["-C", str(folder / "fixtures" / "vault"), *command.split(), "--json"])
        answer = json.loads(capfdbinary.readouterr().out)
        (listed,) = (value for value in answer.values() if isinstance(value, list))
        for key in {*answer, *listed[0]}:
            assert f"`{key}`" in said or f'"{key}"' in said, (command, key)


def test_the_example_runs_on_the_fixtures(folder: Path) -> None:
    found = re.search(r"<!-- example -->\n```python\n(.*?)```\n", TEXT, flags=re.DOTALL)
    assert found is not None
    done = subprocess.run([sys.executable, "-c", found[1]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "Hive" in done.stdout
