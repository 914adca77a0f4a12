"""Imports point only downwards: the table of layers against the code, import by import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bm_gitindex.errors
from support.layers import LAYERS, MARK, PACKAGE, cycles, layer_of, problems

ROOT = Path(bm_gitindex.errors.__file__).parent
HEAVY = ("sqlalchemy", "dulwich", "argparse", "alembic", "yaml", "pyromark", "pathspec", "asyncio", "aiosqlite")


def sources() -> dict[str, str]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        # Migrations are read by Alembic by file name, and are named by their revision.
        if "versions" not in parts:
            found[".".join(parts).removesuffix("__init__").removesuffix(".")] = path.read_text("utf-8")
    return found


def test_the_sources_are_found() -> None:
    assert {"errors", "index.codec", "index", "worktree", "changes"} <= sources().keys()


def test_imports_point_only_downwards() -> None:
    assert problems(sources()) == []


def test_there_is_no_import_cycle() -> None:
    assert cycles(sources()) == []


def test_a_module_has_one_layer() -> None:
    names = [name for patterns in LAYERS.values() for name in patterns]
    assert len(names) == len(set(names))
    assert layer_of("index.codec") == 1
    assert layer_of("nowhere") is None


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        (
            "survey",
            "from bm_gitindex.syncing.session import sync",
            "survey:1: imports bm_gitindex.syncing.session upwards",
        ),
        ("survey", "import bm_gitindex.cli.sync", "upwards, from layer 3 to 7"),
        ("survey", "def f():\n    from bm_gitindex import project", "survey:2: imports bm_gitindex.project upwards"),
        ("survey", "if TYPE_CHECKING:\n    from bm_gitindex.syncing.plan import Plan", "survey:2"),
        ("index.codec", "from ..worktree import walk", "imports bm_gitindex.worktree upwards"),
        ("index.codec", "from .. import worktree", "imports bm_gitindex.worktree upwards"),
        ("index.codec", "import os.path", "imports os in layer 1"),
        ("rules", "from pathlib import Path", "imports pathlib in layer 1"),
        ("notes.parser", "def f():\n    return open('x')", "notes.parser:2: calls open()"),
        ("errors", "from bm_gitindex.index.entry import Entry", "from layer 0 to 1"),
        ("syncing", "from sqlalchemy import select", "imports sqlalchemy, which only entities may"),
        ("entities.tie", "def f():\n    import sqlalchemy.ext", "imports sqlalchemy"),
        ("entities.records", "import aiosqlite", "imports aiosqlite"),
        ("syncing", "import basic_memory.config", "imports basic_memory"),
        ("oracle.tree", "from bm_gitindex.worktree import walk", "shares with a sync what it is to judge"),
        ("brand_new", "", "brand_new: not in a layer yet; give it one in LAYERS"),
    ],
)
def test_the_checker_sees_what_breaks_the_table(module: str, source: str, problem: str) -> None:
    known = dict.fromkeys(
        ("syncing.plan", "syncing.session", "cli.sync", "project", "worktree", "index.entry", "index.codec"), ""
    )
    found = problems({**known, module: source})
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("syncing", "from bm_gitindex.survey import Survey\nimport os"),
        ("index.codec", "from bm_gitindex.index.entry import Entry\nfrom . import entry"),
        ("entities.store", "from sqlalchemy import select"),
        ("backend", "import basic_memory"),
        ("survey", f"if TYPE_CHECKING:\n    from bm_gitindex.syncing.plan import Plan  {MARK}"),
    ],
)
def test_the_checker_lets_pass_what_the_table_allows(module: str, source: str) -> None:
    known = dict.fromkeys(("survey", "syncing.plan", "index.entry"), "")
    assert problems({**known, module: source}) == []


def test_the_checker_sees_a_cycle_and_no_cycle_where_there_is_none() -> None:
    chain = {"survey": f"import {PACKAGE}.renames", "renames": f"from {PACKAGE} import changes", "changes": ""}
    assert cycles(chain) == []
    chain["changes"] = f"def f():\n    from {PACKAGE}.survey import x"
    assert cycles(chain) == ["survey -> renames -> changes -> survey"]


@pytest.mark.parametrize(
    "statement",
    [
        "import bm_gitindex",
        "import bm_gitindex.changes",
        "import bm_gitindex.index.codec",
        "import bm_gitindex.indexfile",
        "import bm_gitindex; bm_gitindex.status; bm_gitindex.Options",
    ],
)
def test_a_quick_command_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); {code}"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_status_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("hello")
    code = (
        f"import sys, pathlib; sys.path.insert(0, {str(ROOT.parent)!r})\n"
        "from bm_gitindex.changes import status\n"
        "from bm_gitindex.options import Options\n"
        "from bm_gitindex.statefolder import StateFolder\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "print(len(status(root, StateFolder(root), Options()).changes))\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, check=False, text=True
    )
    assert (done.stdout.split(), done.stderr) == (["1"], "")


def test_every_public_name_can_be_loaded() -> None:
    import bm_gitindex as package

    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = package.nothing_like_it
