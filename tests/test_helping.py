"""A helper decides how long a status takes, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import changes, indexfile, processors
from bm_gitindex.changes import ChangeStatus, Status
from bm_gitindex.index import codec
from bm_gitindex.index.compare import Baseline, Evidence
from bm_gitindex.index.stat import Trust
from bm_gitindex.rules import Classifier
from bm_gitindex.worktree import answers, helping, proof
from bm_gitindex.worktree.answers import read_answer
from bm_gitindex.worktree.helper import answer_of
from bm_gitindex.worktree.helping import Helping
from bm_gitindex.worktree.pythonprover import PythonProver
from bm_gitindex.worktree.tree import Tree
from support.project import BY_CTIME, NS, Project

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are helpers on Linux only")

FOLDERS = 400
"""So many, of a file each, make more than one group."""


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (changes, helping, proof, codec):
        monkeypatch.setattr(module, "native", None)
    monkeypatch.setattr(helping, "LEAST_ENTRIES", 1)
    monkeypatch.setattr(helping, "cpu_count", lambda: 2)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every helper be heard to its end before anything is proven here; return the groups that it answered."""
    found: list[int] = []
    real = Helping.answered

    def answered(self: Helping) -> list[tuple[int, bytes]]:
        if self._answers is not None:
            os.set_blocking(self._answers, True)
        said = real(self)
        found.extend(number for number, _ in said)
        return said

    monkeypatch.setattr(Helping, "answered", answered)
    return found


def many(project: Project) -> None:
    for number in range(FOLDERS):
        project.write(f"f{number:03}/a.md")
    project.index_all()


def differing(status: Status) -> list[tuple[ChangeStatus, bytes]]:
    return [(change.status, change.path) for change in status.changes]


def test_a_helper_proves_an_unchanged_tree(project: Project, heard: list[int]) -> None:
    many(project)
    status = project.status()
    assert status.is_clean
    assert status.counters.files_seen == FOLDERS
    assert sorted(heard) == [*range(len(heard))]
    assert len(heard) > 1


def test_what_a_helper_cannot_settle_is_looked_at(project: Project, heard: list[int]) -> None:
    many(project)
    project.write("f001/a.md", b"jello\n")
    project.write("f399/a.md", b"jello\n")
    project.write("f398/new.md", b"one\n")
    project.write("f397/odd", b"odd\n")
    project.write("f396/below/\udcff.md", b"two\n")
    os.unlink(project.path("f002/a.md"))
    os.utime(project.path("f003/a.md"), ns=(7 * NS, 7 * NS))
    helped = project.status()
    assert len(heard) > 1
    assert differing(helped) == [
        (ChangeStatus.MODIFIED, b"f001/a.md"),
        (ChangeStatus.DELETED, b"f002/a.md"),
        (ChangeStatus.ADDED, b"f396/below/\xff.md"),
        (ChangeStatus.ADDED, b"f397/odd"),
        (ChangeStatus.ADDED, b"f398/new.md"),
        (ChangeStatus.MODIFIED, b"f399/a.md"),
    ]


def test_nobody_waits_for_a_helper(project: Project) -> None:
    many(project)
    assert project.status().is_clean


def _nonsense(said: bytes) -> Callable[[Helping, list[str]], None]:
    def start(self: Helping, _: list[str]) -> None:
        self._answers, told = os.pipe()
        os.write(told, said)
        os.close(told)
        process = subprocess.Popen(["true"])
        self._pid = process.pid
        process.wait()

    return start


ABOUT = answers.ABOUT
NONSENSE = {
    "nothing": b"",
    "cut short": answers.HEAD.pack(0, 100) + b"12",
    "about other entries": answers.framed(ABOUT, b"x" * 20),
    "nothing about entries": answers.framed(0, b"\1"),
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_not_believed(
    project: Project, heard: list[int], monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    project.write("a.md")
    project.index_all()
    project.write("a.md", b"jello\n")
    monkeypatch.setattr(Helping, "_start", _nonsense(said))
    assert differing(project.status()) == [(ChangeStatus.MODIFIED, b"a.md")]
    assert heard == []


@pytest.mark.parametrize(
    ("flags", "text", "why"),
    [
        (b"", b"", "no flags"),
        (b"\2", b"5\0", "no flags"),
        (b"\1", b"-", "no flags"),
        (b"\0", b"", "cut short"),
        (b"\0", b"x\0", "invalid literal"),
        (b"\0", b"5", "cut short"),
        (b"\0", b"5\0dsub", "cut short"),
        (b"\0", b"5\0?a\0", "no name"),
        (b"\0", b"5\0\0" + b"5\0", "more than was asked"),
    ],
    ids=repr,
)
def test_an_answer_that_makes_no_sense_is_refused(project: Project, flags: bytes, text: bytes, why: str) -> None:
    project.write("a.md")
    project.index_all()
    with Tree(project.root) as tree:
        prover = prover_of(project, tree)
        assert read_answer(tree, prover.places, [b""], b"\0" + b"-") == {}
        assert read_answer(tree, prover.places, [b""], b"\0" + b"5\0").keys() == {b""}
        with pytest.raises(ValueError, match=why):
            read_answer(tree, prover.places, [b""], flags + text)


def prover_of(project: Project, tree: Tree) -> PythonProver:
    snapshot = project.read()
    return PythonProver(tree, Evidence(snapshot.index, snapshot.baseline, Trust()), Classifier(BY_CTIME))


def test_an_answer_says_what_a_prover_finds(project: Project) -> None:
    for name in ("a.md", "b.md", "sub/c.md", "sub/deep/d.md", "sub-x/e.md", "gone/f.md", "\udcff/\udcfe.md"):
        project.write(name)
    project.index_all()
    project.write("a.md", b"jello\n")
    project.write("sub/odd")
    os.rename(project.path("gone"), project.path("elsewhere"))
    with Tree(project.root) as tree:
        prover = prover_of(project, tree)
        folders = prover.folders()
        said = answer_of(prover, 3, folders)
        number, length = answers.HEAD.unpack_from(said)
        body = said[answers.HEAD.size :]
        assert (number, length) == (3, len(body))
        found = read_answer(tree, prover.places, folders, body)
        proofs = {folder: prover.prove_folder(folder) for folder in folders if folder != b"gone"}
        assert {folder: _plain(answer.proof) for folder, answer in found.items()} == {
            folder: _plain(proven) for folder, proven in proofs.items()
        }
        proven = sorted(place for answer in found.values() for place in answer.proven)
        assert proven == [place for place, flag in enumerate(prover.proven) if flag]
        assert len(proven) == 5


def _plain(proven: Any) -> tuple[int, int, list[tuple[str, bool]]]:
    dev, count, others = proven
    return dev, count, sorted((other.name, other.is_known_folder) for other in others)


def test_an_answer_is_only_for_the_evidence_that_it_was_asked_with(project: Project) -> None:
    project.write("a.md")
    project.index_all()
    snapshot = project.read()
    index, baseline = snapshot.index, snapshot.baseline
    limits = Classifier(BY_CTIME)
    with Tree(project.root) as tree, Helping(tree, Trust(), limits) as help_:
        help_.begin(index.data, baseline.timestamp_s)
        assert help_.is_for(Evidence(index, baseline, Trust()), limits)
        assert not help_.is_for(Evidence(index, Baseline(baseline.timestamp_s - 1, is_trusted=True), Trust()), limits)
        assert not help_.is_for(Evidence(index, baseline.distrusted(), Trust()), limits)
        assert not help_.is_for(Evidence(index, baseline, Trust(ctime=False)), limits)
        assert not help_.is_for(Evidence(project.read().index, baseline, Trust()), limits)
        other = Classifier(BY_CTIME._replace(large_file_bytes=1))
        assert not help_.is_for(Evidence(index, baseline, Trust()), other)


@pytest.mark.parametrize(
    "name", ["frozen", "no executable", "not python", "no process", "another version", "a descriptor too low"]
)
def test_where_there_can_be_no_helper_everything_is_proven_here(
    project: Project, heard: list[int], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    project.write("a.md")
    project.index_all()
    match name:
        case "frozen":
            monkeypatch.setattr(sys, "frozen", True, raising=False)
        case "no executable":
            monkeypatch.setattr(sys, "executable", "")
        case "not python":
            monkeypatch.setattr(sys, "executable", "/usr/bin/true")
        case "no process":
            monkeypatch.setattr(os, "posix_spawn", refuse)
        case "another version":
            monkeypatch.setattr(answers, "VERSION", "another")
        case _:
            monkeypatch.setattr(helping, "_STREAMS", 1000)
    before = set(os.listdir("/proc/self/fd"))
    assert project.status().is_clean
    assert heard == []
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_helper_is_gone_when_its_asker_is_done(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    many(project)
    before = set(os.listdir("/proc/self/fd"))
    pids = []
    real = os.posix_spawn

    def spawn(*arguments: Any, **named: Any) -> int:
        pids.append(real(*arguments, **named))
        return pids[-1]

    monkeypatch.setattr(os, "posix_spawn", spawn)
    assert project.status().is_clean
    assert len(pids) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[0], 0)
    assert set(os.listdir("/proc/self/fd")) == before


def test_an_index_that_proves_nothing_asks_for_no_help(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("a.md")
    project.index_all()
    project.state.index_owner.unlink()
    monkeypatch.setattr(Helping, "begin", lambda *_: pytest.fail("there is nothing to prove"))
    assert not indexfile.read_index(project.state).baseline.is_trusted
    assert project.status().is_clean


@pytest.mark.parametrize(("few", "cpus"), [(2, 2), (1, 1)], ids=["a small index", "one processor"])
def test_where_help_is_not_worth_it_nobody_is_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch, few: int, cpus: int
) -> None:
    project.write("a.md")
    project.index_all()
    monkeypatch.setattr(helping, "LEAST_ENTRIES", few)
    monkeypatch.setattr(helping, "cpu_count", lambda: cpus)
    monkeypatch.setattr(Helping, "_start", lambda *_: pytest.fail("it is not worth it"))
    with Tree(project.root) as tree, Helping(tree, Trust(), Classifier(BY_CTIME)) as help_:
        help_.begin(project.read().index.data, 0)
        assert help_.answered() == []


def test_a_helper_runs_this_very_package_whatever_lies_in_the_present_folder(
    project: Project, heard: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    project.write("a.md")
    project.index_all()
    os.makedirs(os.path.join(tmp_path, "bm_gitindex"))
    for name in ("bm_gitindex/__init__.py", "typing.py", "os.py"):
        with open(os.path.join(tmp_path, name), "w", encoding="utf-8") as file:
            file.write("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    assert processors.this_python() is not None
    assert project.status().is_clean
    assert heard == [0]
