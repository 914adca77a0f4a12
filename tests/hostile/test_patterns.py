"""`.gitignore` files that are too large, too many, or made to keep a matcher busy."""

from __future__ import annotations

import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import Options
from bm_gitindex.ignore import IgnoreRules, TooManyRulesError
from bm_gitindex.rules import SkipReason
from support.child import command
from support.profile import NIGHTLY
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = Options().ignore_max_bytes
COUNT = 20_000 if NIGHTLY else 1_000
HOSTILE = {
    "suffixes": [b"*.e%d" % number for number in range(COUNT)],
    "asterisks": [b"*a*a*a*a*%d*b" % number for number in range(COUNT // 2)],
    "folders": [b"**/x%d/**/y" % number for number in range(COUNT // 2)],
    "exclusions": [b"!*.x%d" % number for number in range(COUNT)],
    "sets": [b"[[:alnum:]]%d[!a-z]*" % number for number in range(COUNT // 3)],
    "open-sets": [b"[[:" * 1300] * (COUNT // 500),
    "one-folder-after-another": [b"**/" * 1300 + b"b"] * (COUNT // 500),
    "one-long": [b"*a" * 2000 + b"*b"] * (COUNT // 500),
    "names": [b"name-%d" % number for number in range(COUNT)],
}


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault")
    vault.write("good.md", "- [c] neighbour\n")
    vault.write("a" * 250 + ".md")
    vault.write("a/" * 60 + "deep.md")
    vault.write("out.txt")
    return vault


def entities(vault: Vault) -> set[object]:
    return {path for path in vault.ids() if not str(path).startswith("a")}


@pytest.mark.parametrize("patterns", HOSTILE.values(), ids=HOSTILE)
def test_hostile_patterns_rule_as_any_others(vault: Vault, patterns: list[bytes]) -> None:
    text = b"\n".join([*patterns, b"out.*"])
    assert len(text) < MAX_BYTES
    vault.write(".gitignore", text)
    assert vault.settled_sync().added == 3
    assert entities(vault) == {"good.md"}
    assert vault.sync().counters.files_read == 0


TOO_MUCH = {
    "large": b"*.txt\n" + b"# \n" * (MAX_BYTES // 3 + 1),
    "10 MB": b"*.txt\n" + b"*a*b\n" * 2_000_000,
    "a long pattern": b"*.txt\n" + b"*a" * 2049 + b"\n",
}


@pytest.mark.parametrize("data", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_gitignore_beyond_a_bound_rules_nothing_and_is_told(vault: Vault, data: bytes) -> None:
    vault.write(".gitignore", data)
    report = vault.settled_sync()
    assert entities(vault) == {"good.md", "out.txt"}
    (skipped,) = report.skipped
    assert (skipped.path, skipped.reason) == (b".gitignore", SkipReason.RULES_NOTHING)
    assert re.search(r"ignore_max_bytes \(262144\)|longer than 4096 bytes", skipped.detail)
    assert not report.failed
    assert vault.sync().counters.files_read == 0
    assert vault.project.verify().ok


def test_the_bound_is_for_all_that_hold_in_a_folder() -> None:
    root = IgnoreRules((), max_bytes=20)
    outer = root.with_gitignore(b"", b"*.log\n")
    inner = outer.with_gitignore(b"a/", b"*.tmp  \n")
    assert inner.free_bytes == 6
    with pytest.raises(TooManyRulesError, match=r"ignore_max_bytes \(20\)"):
        inner.with_gitignore(b"a/b/", b"*.text\n")
    assert inner.with_gitignore(b"a/b/", b"*.txt\n").is_ignored(b"a/b/x.txt")
    assert outer.with_gitignore(b"b/", b"*.markdown\n").is_ignored(b"b/x.markdown")


def test_of_patterns_in_several_parts_the_last_decides() -> None:
    many = [b"*.x%d" % number for number in range(2_500)]
    for last, is_ignored in ((b"!*.md", False), (b"*.md", True)):
        for place in (0, 1_250, 2_500):
            rules = IgnoreRules().with_gitignore(b"", b"\n".join([b"*.md", *many[:place], last, *many[place:]]))
            assert rules.is_ignored(b"note.md") is is_ignored
            assert rules.is_ignored(b"note.x2499")
    assert all(rules.is_ignored(b"note.x%d" % number) for number in range(2_500))


def test_patterns_are_compiled_a_few_at_a_time() -> None:
    patterns = [b"*.e%d" % number for number in range(3_000)]
    tracemalloc.start()
    try:
        IgnoreRules().with_gitignore(b"", b"\n".join(patterns))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 7_000_000


def test_a_large_gitignore_takes_little_memory(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("good.md")
    alone = command(vault.root, "status").peak_bytes
    patterns = b"\n".join([*HOSTILE["asterisks"], *HOSTILE["folders"], b"*a" * 2000])
    for folder in range(40 if NIGHTLY else 4):
        vault.write(f"{folder}/.gitignore", b"# %d\n" % folder + patterns[: MAX_BYTES - 20])
    done = command(vault.root, "status")
    assert (done.code, done.json["skipped"]) == (0, [])
    assert done.peak_bytes - alone < 100_000_000
