"""A vault that does what it can to be read wrongly: links, pipes, names, contents, and modules to be imported."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202etxt.exe\u2066\u200b\r\x7f"
"""Clears a screen, sets a title, sets a colour by the 8-bit CSI, turns text around, goes back to the line's start."""
INJECTION = "'; DROP TABLE entity; --"

NAMES = [
    INJECTION.replace("/", "") + ".md",
    'double " quote ; -- %s {0} $(touch owned) `touch owned`.md',
    "percent %d %_ LIKE.md",
    "_.md",
    "%.md",
    "-rf.md",
    "--json.md",
    "new\nline.md",
    f"esc {ESCAPES.replace('/', '')}.md",
    "back\\slash.md",
    "nul\\0.md",
]

_CALL = "!!python/object/apply:os.system ['touch owned']"
HEADERS = {
    "python-apply": f"title: Apply\nx: {_CALL}",
    "python-new": "title: New\nx: !!python/object/new:os.system ['touch owned']",
    "python-name": "title: Name\nx: !!python/name:os.system",
    "python-module": "title: Module\nx: !!python/module:antigravity",
    "python-tag-uri": "title: Uri\nx: !<tag:yaml.org,2002:python/object/apply:os.system> ['touch owned']",
    "python-tag-directive": "%TAG !p! tag:yaml.org,2002:python/\n--- \nx: !p!object/apply:os.system ['touch owned']",
    "custom-tag": "title: Custom\nx: !include /etc/passwd",
    "environment-tag": "title: Environment\nx: !ENV ${HOME}",
    "binary-bomb": "title: Binary\nx: !!binary " + "QUFB" * 10_000,
    "merge-bomb": "a0: &a0 {k: v}\n" + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)),
    "alias-bomb": "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)),
    "key-of-python": "!!python/name:os.system : x",
}
"""None may run anything; each note becomes an entity, with a warning where something was not taken over."""

TRAPS: tuple[str, ...] = (
    *("typing", "json", "yaml", "sqlalchemy", "sqlite3", "alembic", "aiosqlite", "dulwich", "pyromark", "tomllib"),
    *("argparse", "pathlib", "sitecustomize", "usercustomize", "anyascii", "encodings", "bm_gitindex", "env"),
)
"""Names of modules that the command imports, or Python for it."""


def make_hostile_vault(root: Path, outside: Path) -> None:
    """Fill two folders: a vault, and what it leads to and must not get."""
    outside.mkdir(parents=True, exist_ok=True)
    root.mkdir(exist_ok=True)
    (outside / "secret.md").write_text("# Secret\n- [secret] secret\n")
    (outside / "gitignore").write_text("*.md\n")
    (outside / "folder").mkdir()
    (outside / "folder" / "secret.md").write_text("secret\n")
    (root / "note.md").write_text(
        f"# Note {INJECTION} {ESCAPES}\n- [fact] {ESCAPES} #{INJECTION}\n- [[../outside/secret]]\n"
    )
    for number, name in enumerate(NAMES):
        note = (
            f'---\ntitle: "{INJECTION} %_ {number}"\ntags: ["{INJECTION}", \'%\']\npermalink: "x\'; %_ {number}"\n---\n'
        )
        (root / name).write_text(f"{note}- relates_to [[%]] ({INJECTION})\n- [a'b] '; %\n[[{INJECTION}]] [[_]]\n")
    for name, header in HEADERS.items():
        (root / f"{name}.md").write_text(f"---\n{header}\n---\nbody\n")
    _links(root, outside)
    _traps(root)


def _links(root: Path, outside: Path) -> None:
    (root / "link.md").symlink_to(outside / "secret.md")
    (root / "link").symlink_to(outside / "folder")
    (root / "up").symlink_to("..")
    (root / "etc").symlink_to("/etc")
    (root / "self.md").symlink_to("self.md")
    os.mkfifo(root / "pipe.md")
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.md")
    for name in ("linked", "piped", "foldered", "sparse", "outward"):
        (root / name).mkdir()
        (root / name / "in.md").write_text("in\n")
    (root / "linked" / ".gitignore").symlink_to(outside / "gitignore")
    os.mkfifo(root / "piped" / ".gitignore")
    (root / "foldered" / ".gitignore").mkdir()
    (root / "sparse" / ".gitignore").touch()
    os.truncate(root / "sparse" / ".gitignore", 2**30)
    (root / "outward" / ".gitignore").write_text("../../outside/*\n/etc/passwd\n!/etc/\n")


def _traps(root: Path) -> None:
    """Leave what programs read, import or run in the folder in which they are started."""
    for name in TRAPS:
        (root / f"{name}.py").write_text("import os\nos.close(os.open('owned', os.O_CREAT))\n")
    (root / "sqlalchemy_").mkdir()
    (root / "alembic.ini").write_text("[alembic]\nscript_location = .\nprepend_sys_path = .\n")
    (root / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "."\nprepend_sys_path = ["."]\n')
    (root / ".env").write_text("BM_GITINDEX_STATE_DIR=/tmp/owned\nPYTHONPATH=.\n")
    (root / ".pdbrc").write_text("import os\n")
    (root / "setup.cfg").write_text("[alembic]\nscript_location = .\n")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("[core]\n\tfsmonitor = touch owned\n\texcludesFile = /etc/passwd\n")
    (root / ".gitattributes").write_text("*.md filter=owned\n")
    (root / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = ../outside\n')
