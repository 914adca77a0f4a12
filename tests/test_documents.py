"""docs/entities.md: the diagram is that of the tables, and the example runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from bm_gitindex.entities.schema import metadata
from support.diagram import DOCUMENT, diagram, drawn_in

ROOT = Path(__file__).parent.parent
TEXT = DOCUMENT.read_text("utf-8")


def test_the_diagram_is_that_of_the_tables() -> None:
    assert drawn_in(TEXT) == diagram(), "renew it: cd tests && python -m support.diagram"


def test_every_table_is_explained() -> None:
    assert set(re.findall(r"\*\*([a-z_]+)\*\*:", TEXT)) == metadata.tables.keys()


def test_the_example_runs_on_the_fixtures(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures", ignore=shutil.ignore_patterns(".basic-memory"))
    found = re.search(r"<!-- example -->\n```python\n(.*?)```\n", TEXT, flags=re.DOTALL)
    assert found is not None
    done = subprocess.run([sys.executable, "-c", found[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "Hive" in done.stdout
