"""The table of layers, and a checker that holds a source's imports against it."""

from __future__ import annotations

import ast
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = "bm_gitindex"

LAYERS: dict[int, tuple[str, ...]] = {
    0: ("errors", "version", "options", "progress", "native", "processors"),
    1: ("index", "index.*", "notes", "notes.*", "rules", "ignore", "wildmatch"),
    2: (
        *("statefolder", "machine", "filesystem", "indexfile", "indexlock", "writerlock", "config", "basicmemory"),
        *("memory", "roots"),
        *("worktree", "worktree.*", "entities", "entities.*", "versioning", "versioning.*"),
    ),
    3: ("survey", "renames", "changes", "setaside"),
    4: ("syncing", "syncing.*", "verify", "oracle", "oracle.*"),
    5: ("watching", "watching.*", "backend", "project", ""),
    6: ("worker", "worker.*"),
    7: ("cli", "cli.*", "front", "__main__"),
}
"""Module names below the package, which is itself the empty name: the facade, which loads what it names when asked."""

IMPURE = frozenset({"os", "io", "pathlib", "asyncio", "socket", "subprocess", "sqlalchemy", "time"})
"""Not for layer 1: bytes, integers and values."""
DATABASE = frozenset({"sqlalchemy", "alembic", "aiosqlite", "asyncpg"})
WITHOUT_DATABASE = frozenset({f"entities.{name}" for name in ("records", "tie", "location", "server", "identity")})
"""What a run asks before it knows whether it has anything to store."""
ORACLE_MAY_USE = (
    *("errors", "options", "progress", "notes.*", "rules", "ignore"),
    *("index.entry", "entities.tie", "entities.server", "entities.postgresql", "statefolder", "oracle.*"),
)
"""What `verify` has in common with a sync: what a note says and which files count, and no listing of the tree, no
comparison of stats, no reader of the index, and no query."""
MARK = "# layers: types only"
"""At the end of an import line below `if TYPE_CHECKING`: a type from a higher layer, named and not used."""


class Import(NamedTuple):
    line: int
    name: str
    is_marked: bool


def layer_of(module: str) -> int | None:
    """Return the layer of a module, or None where the table does not know it."""
    for layer, patterns in LAYERS.items():
        if any(fnmatchcase(module, pattern) for pattern in patterns):
            return layer
    return None


def problems(sources: Mapping[str, str]) -> list[str]:
    """Return what breaks the table, for sources by module name below the package."""
    found: list[str] = []
    for module, source in sources.items():
        layer = layer_of(module)
        if layer is None:
            found.append(f"{module}: not in a layer yet; give it one in LAYERS (tests/support/layers.py)")
            continue
        for used in imports(source, module, sources):
            found += (f"{module}:{used.line}: {problem}" for problem in _import_problems(module, layer, used))
        found += (f"{module}:{line}: calls open() in layer 1" for line in _open_calls(source) if layer == 1)
    return found


def _import_problems(module: str, layer: int, used: Import) -> Iterator[str]:
    top = used.name.partition(".")[0]
    if top == PACKAGE:
        target = used.name.removeprefix(PACKAGE).removeprefix(".")
        is_oracle = module == "oracle" or module.startswith("oracle.")
        if is_oracle and not any(fnmatchcase(target, pattern) for pattern in ORACLE_MAY_USE):
            yield f"imports {used.name}, and so shares with a sync what it is to judge"
        target_layer = layer_of(target)
        if target_layer is not None and target_layer > layer and not used.is_marked:
            yield f"imports {used.name} upwards, from layer {layer} to {target_layer}"
        return
    if layer == 1 and top in IMPURE:
        yield f"imports {top} in layer 1, which is pure"
    is_database = fnmatchcase(module, "entities.*") and module not in WITHOUT_DATABASE
    if top in DATABASE and not is_database and not used.is_marked:
        yield f"imports {top}, which only entities may (without {', '.join(sorted(WITHOUT_DATABASE))})"
    if top == "basic_memory" and module != "backend":
        yield "imports basic_memory, which only backend may"


def imports(source: str, module: str, known: Mapping[str, object]) -> list[Import]:
    """Return every import of a source, those inside functions and below TYPE_CHECKING included."""
    lines = source.splitlines()
    found: list[Import] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, known)
            names = [_module_named(base, alias.name, known) for alias in node.names]
        else:
            continue
        is_marked = any(MARK in line for line in lines[node.lineno - 1 : node.end_lineno])
        found += (Import(node.lineno, name, is_marked) for name in dict.fromkeys(names))
    return found


def _absolute(node: ast.ImportFrom, module: str, known: Mapping[str, object]) -> str:
    if not node.level:
        return node.module or ""
    parts = [PACKAGE, *filter(None, module.split("."))]
    is_package = not module or any(name.startswith(f"{module}.") for name in known)
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *([node.module] if node.module else [])])


def _module_named(base: str, name: str, known: Mapping[str, object]) -> str:
    """Return the module that `from base import name` loads: a module of that name, or else the base."""
    full = f"{base}.{name}"
    return full if full.removeprefix(f"{PACKAGE}.") in known else base


def _open_calls(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield node.lineno


def cycles(sources: Mapping[str, str]) -> list[str]:
    """Return import cycles as chains of module names."""
    edges = {module: sorted(_targets(source, module, sources)) for module, source in sources.items()}
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in edges[module]:
                visit(target, [*path, module])
            done.add(module)

    for module in edges:
        visit(module, [])
    return found


def _targets(source: str, module: str, known: Mapping[str, str]) -> set[str]:
    used = {one.name for one in imports(source, module, known) if not one.is_marked}
    below = {name.removeprefix(PACKAGE).removeprefix(".") for name in used if name.partition(".")[0] == PACKAGE}
    return (below & known.keys()) - {module}
