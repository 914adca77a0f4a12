"""What the source never does, whatever a vault holds: build SQL from data, run text, start a program."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bm_gitindex

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(bm_gitindex.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

# --- SQL -------------------------------------------------------------------------------------------------------------

SQL_CALLS = {"execute", "executemany", "executescript", "execute_fetchall", "exec_driver_sql"}
SQL_CALLS |= {"text", "literal_column", "DDL"}
SQL_CALLS |= {"fetch", "fetchrow", "fetchval", "cursor"}  # asyncpg's
CONSTANTS_ALLOWED = {
    ("entities/connection.py", "sql"): "what SQLAlchemy hands to its driver",
    ("entities/database.py", "_BUSY_TIMEOUT_MS"): "a number of the source",
    ("entities/database.py", "begin"): "BEGIN or BEGIN IMMEDIATE, by the two callers of `_open`",
    ("entities/database.py", "pragma"): "by `_pragma`, the arguments of which are checked below",
    ("entities/inserts.py", "statement"): "what SQLAlchemy makes of a table of the schema, by `_prepared`",
    ("entities/remote.py", "query"): "a constant of the module, by the two callers of `_asked_of_project`",
    **dict.fromkeys(
        [("oracle/servercopy.py", name) for name in ("creation", "selection", "insertion", "indexing")],
        "names of tables and columns, quoted, and a number",
    ),
    ("oracle/database.py", "query"): "a value of the constant table `_FORBIDDEN`",
}
"""Names that are neither constants of a module nor statements of SQLAlchemy, and why each is no data."""


def sql_problems(source: str, file: str) -> Iterator[str]:
    """Yield each place where SQL text may be made from something that is not a constant of the source."""
    tree = ast.parse(source)
    constants = constants_of(tree)
    constants |= imported_constants(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) in SQL_CALLS and node.args]
    statements = statement_names(tree) if calls else set()
    for node in calls:
        first = node.args[0]
        if called(node) == "text" and not is_sqlalchemy_text(node, tree):
            continue
        if is_constant(first) or is_statement(first) or (isinstance(first, ast.Call) and called(first) == "text"):
            continue
        if isinstance(first, ast.Name) and (first.id in constants or first.id in statements):
            continue
        names = names_in(first)
        if names and all(name in constants or (file, name) in CONSTANTS_ALLOWED for name in names):
            continue
        yield f"{file}:{node.lineno}: {ast.unparse(node)}"


def constants_of(tree: ast.Module) -> set[str]:
    """Return the names that a module gives to constant text."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and is_constant(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@cache
def constants_of_file(file: str) -> set[str]:
    return constants_of(ast.parse(SOURCES.get(file, "")))


def imported_constants(tree: ast.Module) -> set[str]:
    """Return the names of constant text that come from other modules of the package."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bm_gitindex."):
            file = f"{(node.module or '').removeprefix('bm_gitindex.').replace('.', '/')}.py"
            there = constants_of_file(file)
            found |= {alias.name for alias in node.names if alias.name in there and alias.asname is None}
    return found


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_constant(node: ast.expr) -> bool:
    """Return whether an expression is text that stands in the source, in one piece or in several."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return is_constant(node.left) and is_constant(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


BUILDERS = {"select", "insert", "update", "delete", "and_", "or_", "union", "upsert", "sqlite_insert", "decide_some"}


def is_statement(node: ast.expr) -> bool:
    """Return whether an expression is a statement that SQLAlchemy builds, whose values are bound parameters."""
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in BUILDERS
        node = node.func if isinstance(node, ast.Call) else node.value
    return False


def statement_names(tree: ast.Module) -> set[str]:
    """Return the names that are given to nothing but such statements."""
    good: set[str] = set()
    bad: set[str] = set()
    changed = True
    while changed:
        changed = False
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign):
                continue
            for name in [target.id for target in node.targets if isinstance(target, ast.Name)]:
                root = node.value
                while isinstance(root, ast.Call | ast.Attribute):
                    root = root.func if isinstance(root, ast.Call) else root.value
                is_good = is_statement(node.value) or (isinstance(root, ast.Name) and root.id in good)
                kind = good if is_good else bad
                changed |= name not in kind
                kind.add(name)
    return {name for name in good if not any(is_text_given(tree, name))}


def is_text_given(tree: ast.Module, name: str) -> Iterator[bool]:
    """Yield, for each time a name is given a value, whether that is text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            yield isinstance(node.value, ast.JoinedStr | ast.BinOp | ast.Constant) or (
                isinstance(node.value, ast.Call) and called(node.value) in {"format", "join", "replace"}
            )


def is_sqlalchemy_text(node: ast.Call, tree: ast.Module) -> bool:
    """Return whether `text` is SQLAlchemy's, and not a function of this package."""
    if isinstance(node.func, ast.Attribute):
        return True
    return any(
        isinstance(imported, ast.ImportFrom)
        and (imported.module or "").startswith("sqlalchemy")
        and any(alias.name == "text" for alias in imported.names)
        for imported in ast.walk(tree)
    )


def names_in(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def test_sql_is_never_made_of_data() -> None:
    assert [problem for file, source in SOURCES.items() for problem in sql_problems(source, file)] == []


@pytest.mark.parametrize(
    "source",
    [
        "connection.execute(f'SELECT {x}')",
        "connection.execute('SELECT %s' % x)",
        "connection.execute('SELECT ' + x)",
        "connection.execute('SELECT {}'.format(x))",
        "connection.execute(' '.join(parts))",
        "connection.execute(query)",
        "query = f'SELECT {x}'\nconnection.execute(query)",
        "query = select(x)\nquery = f'SELECT {x}'\nconnection.execute(query)",
        "def f(query):\n    query = 'SELECT ' + query\n    connection.execute(query)",
        "cursor.executescript(open(x).read())",
        "connection.exec_driver_sql(begin)",
        "import sqlalchemy as sa\nsa.text(x)",
        "from sqlalchemy import text\nconnection.execute(text(f'{x}'))",
        "connection.execute(select(x) if y else z)",
        "from bm_gitindex.entities.tie import PROGRAM as p\nconnection.execute(p)",
        "from elsewhere import PROGRAM\nconnection.execute(PROGRAM)",
    ],
)
def test_sql_that_is_made_of_data_is_found(source: str) -> None:
    assert list(sql_problems(source, "module.py"))


@pytest.mark.parametrize(
    "source",
    [
        "connection.execute('SELECT ?', (x,))",
        "connection.execute('SELECT ?' ' FROM y', (x,))",
        "_Q = 'SELECT ' + '?'\ndef f():\n    connection.execute(_Q, (x,))",
        "connection.execute(select(x).where(y == z))",
        "query = select(x)\npage = query.where(y)\nconnection.execute(page)",
        "def text(x): ...\ntext(f'{x}')",
        "from bm_gitindex.entities.tie import PROGRAM\nconnection.execute(PROGRAM)",
    ],
)
def test_sql_with_bound_parameters_is_none(source: str) -> None:
    assert list(sql_problems(source, "module.py")) == []


def test_pragmas_have_values_of_the_source_alone() -> None:
    """What `_pragma` is called with: constants, or text into which only constants go."""
    tree = ast.parse(SOURCES["entities/database.py"])
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) == "_pragma"]
    assert len(calls) >= 5
    allowed = {"_BUSY_TIMEOUT_MS", "mode"}
    for call in calls:
        assert is_constant(call.args[1]) or names_in(call.args[1]) <= allowed, ast.unparse(call)
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    modes = [ast.dump(text) for text in texts if "mode" in names_in(text)]
    expected = ast.parse("f\"synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}\"", mode="eval")
    assert modes == [ast.dump(expected.body)]


def test_every_exception_is_needed() -> None:
    """A name that nobody uses in SQL any more must not stay allowed."""
    for file, name in CONSTANTS_ALLOWED:
        source = SOURCES[file]
        assert any(
            name in names_in(node.args[0])
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and called(node) in SQL_CALLS and node.args
        ), (file, name)


# --- what may be run -------------------------------------------------------------------------------------------------

FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "code", "codeop", "runpy", "imp", "pty"),
    *("subprocess", "multiprocessing", "socket", "http", "urllib.request", "ftplib", "smtplib", "webbrowser"),
    *("requests", "httpx", "xml", "zipimport", "configparser", "dotenv", "commands"),
}
FORBIDDEN_ATTRIBUTES = {
    ("os", name)
    for name in ("system", "popen", "fork", "forkpty", "execv", "execve", "execl", "execvp", "spawnv", "spawnl")
}
FORBIDDEN_ATTRIBUTES |= {("os", "posix_spawn"), ("os", "startfile"), ("os", "environb"), ("os", "getenv")}
FORBIDDEN_ATTRIBUTES |= {("sys", "path"), ("importlib", "reload"), ("ctypes", "PyDLL")}
YAML_LOADERS = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader"}
ENVIRONMENT = {
    "cli/output.py": {"NO_COLOR", "TERM"},
    "cli/arguments.py": {"COLUMNS"},
    "native.py": {"BM_GITINDEX_PURE"},
}
"""Which files read which variables of the environment: how the output looks, and whether Python does all the work."""
DYNAMIC_IMPORTS = {"__init__.py", "cli/arguments.py", "native.py"}
"""Where `import_module` is used: for the public names and the commands, from constant tables, and a constant."""
USES = {
    "syncing/workers.py": {"subprocess": {"Popen", "PIPE", "DEVNULL", "TimeoutExpired"}},
    "watching/daemon.py": {"subprocess": {"Popen", "DEVNULL"}},
    "worktree/helping.py": {"os": {"posix_spawn", "environ"}},
    "watching/serving.py": {"socket": {"socket", "AF_UNIX", "SOCK_STREAM"}},
}
"""Which files may start programs, this Python with a module of this package, and by what; and which may listen: at a
socket in the state folder, and on no network."""


def dangers(source: str, file: str) -> Iterator[str]:
    """Yield each use of what could run data, or read what is not the project's."""
    for node in ast.walk(ast.parse(source)):
        for problem in _danger(node, file):
            yield f"{file}:{getattr(node, 'lineno', 0)}: {problem}"


def _danger(node: ast.AST, file: str) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names]
        full = names if isinstance(node, ast.Import) else [node.module or "", *(f"{node.module}.{n}" for n in names)]
        forbidden = FORBIDDEN_MODULES - USES.get(file, {}).keys()
        yield from (name for name in full if any(is_below(name, module) for module in forbidden))
        if "import_module" in names and file not in DYNAMIC_IMPORTS:
            yield "import_module"
    elif isinstance(node, ast.Call):
        yield from _dangerous_call(node)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.attr in USES.get(file, {}).get(node.value.id, ()):
            return
        if (node.value.id, node.attr) in FORBIDDEN_ATTRIBUTES:
            yield f"{node.value.id}.{node.attr}"
        if node.attr == "environ" and file not in ENVIRONMENT:
            yield "os.environ"


def _dangerous_call(node: ast.Call) -> Iterator[str]:
    name = called(node)
    if isinstance(node.func, ast.Name) and name in FORBIDDEN_CALLS:
        yield name
    if any(keyword.arg == "shell" for keyword in node.keywords):
        yield "shell="
    is_yaml = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    if is_yaml and node.func.value.id == "yaml":  # type: ignore[attr-defined]
        loaders = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "Loader"]
        is_safe = bool(loaders) and all(loader.rpartition(".")[2] in SAFE_LOADERS for loader in loaders)
        if name in YAML_LOADERS or (name in ("parse", "compose", "scan") and not is_safe):
            yield f"yaml.{name}"


def is_below(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_nothing_in_the_source_runs_data_or_programs() -> None:
    assert [problem for file, source in SOURCES.items() for problem in dangers(source, file)] == []


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from marshal import loads", "import subprocess as s", "from os import path\nos.system(x)"),
        *("eval(x)", "exec(x)", "compile(x, y, z)", "__import__(x)", "from importlib import import_module"),
        *("yaml.load(x)", "yaml.load(x, Loader=yaml.Loader)", "yaml.unsafe_load(x)", "yaml.parse(x)"),
        *("yaml.parse(x, Loader=yaml.FullLoader)", "run(x, shell=True)", "os.environ['X']", "os.getenv('X')"),
        *("sys.path.insert(0, x)", "import urllib.request", "from urllib import request"),
    ],
)
def test_what_runs_data_or_programs_is_found(source: str) -> None:
    assert list(dangers(source, "module.py"))


def test_of_what_starts_programs_and_listens_nothing_else_is_used() -> None:
    for file, uses in USES.items():
        for module, allowed in uses.items():
            found = {
                node.attr
                for node in ast.walk(ast.parse(SOURCES[file]))
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == module
            }
            assert found == allowed or (module == "os" and found >= allowed), file


def test_the_only_program_that_is_started_is_this_python_with_a_module_of_ours() -> None:
    assert returned_by("processors.py", "this_python") == [
        "None",
        "[sys.executable, '-I' if sys.flags.isolated else '-P']",
    ]
    for file, function, command in (
        ("syncing/workers.py", "_command", "[*python, '-m', MODULE]"),
        ("worktree/helping.py", "_command", "[*python, '-S', *written, '-c', _PROGRAM, folder]"),
        ("watching/daemon.py", "_command", "[*python, '-m', 'bm_gitindex', *arguments]"),
    ):
        assert command in " ".join(returned_by(file, function)), file


def returned_by(file: str, name: str) -> list[str]:
    return sorted(
        ast.unparse(node.value)
        for function in ast.parse(SOURCES[file]).body
        if isinstance(function, ast.FunctionDef) and function.name == name
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and node.value is not None
    )


def test_the_environment_decides_of_nothing_but_colours() -> None:
    for file, allowed in ENVIRONMENT.items():
        found = {
            node.args[0].value if isinstance(node.args[0], ast.Constant) else ast.unparse(node.args[0])
            for node in ast.walk(ast.parse(SOURCES[file]))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "os.environ"
        }
        uses = [node for node in ast.walk(ast.parse(SOURCES[file])) if getattr(node, "attr", "") == "environ"]
        assert (found, len(uses)) == (allowed, len(allowed))
