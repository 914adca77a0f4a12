"""Whatever proves a file unchanged, a survey finds what it finds when it looks at every file."""

from __future__ import annotations

import importlib.util
import os
import signal
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex import native as native_module
from bm_gitindex import survey as surveying
from bm_gitindex.index.compare import Evidence
from bm_gitindex.index.entry import FLAG_EXTENDED, Entry
from bm_gitindex.index.stat import Trust
from bm_gitindex.native import native
from bm_gitindex.options import Options
from bm_gitindex.rules import ORDINARY_ENDINGS, STRANGE_BEGINNINGS, Classifier
from bm_gitindex.survey import Survey, Surveyor
from bm_gitindex.worktree import proof as proving
from bm_gitindex.worktree.proof import Proof, prove
from bm_gitindex.worktree.pythonprover import PythonProver
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.worktree.walk import Scope
from support.profile import NIGHTLY
from support.project import BY_CTIME, LATE_S, NS, Project
from support.values import HELLO_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from support.git import Git

needs_native = pytest.mark.skipif(native is None, reason="bm_gitindex._native was not compiled")

LARGE_BYTES = 1000
OPTIONS = BY_CTIME._replace(large_file_bytes=LARGE_BYTES)
NAMES = [
    *(b"a.md", b"b.pdf", b"c", b"sub/c.md", b"sub/deep/d.md", b"sub/deep/e.md", b"sub-x/f.md", b"sub.md", b"A.MD"),
    *(b"sub/n.md", b"sub0.md", b"sub0/o.md"),
    *(b"g.tmp", b"x~", b"#h.md#", b"4913", b".hidden.md", b"sub/.i/j.md", b"~$k.docx", b"l\xff.md", b"m.sw\xc3\xb6.md"),
]
TRUSTS = [
    Trust(),
    Trust(ctime=False),
    Trust(filemode=False),
    Trust(check_stat="minimal"),
    Trust(False, False, "minimal"),
]


def _edit(path: bytes) -> None:
    _overwrite(path, b"jello\n")


def _edit_and_put_mtime_back(path: bytes) -> None:
    st = os.stat(path)
    _overwrite(path, b"jello\n")
    os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))


def _overwrite(path: bytes, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(data)


def _replaced_by(make: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def replace(path: bytes) -> None:
        os.unlink(path)
        make(path)

    return replace


def _write(path: bytes, data: bytes = b"hello\n") -> None:
    with open(path, "wb") as file:
        file.write(data)


def _link(path: bytes) -> None:
    os.symlink(b"elsewhere.md", path)


def _folder(path: bytes) -> None:
    os.mkdir(path)
    _write(path + b"/new.md")


def _beside(name: bytes, data: bytes = b"hello\n") -> Callable[[bytes], None]:
    return lambda path: _write(os.path.join(os.path.dirname(path), name), data)


def _by_a_stub(path: bytes) -> None:
    os.rename(path, os.path.join(os.path.dirname(path), b"." + os.path.basename(path) + b".icloud"))


def _move_folder_away(path: bytes) -> None:
    folder = os.path.dirname(path)
    os.rename(folder, folder + b".tmp" if os.path.basename(folder).startswith(b"sub") else folder)


DEEDS: dict[str, Callable[[bytes], object]] = {
    "edit": _edit,
    "edit and put mtime back": _edit_and_put_mtime_back,
    "touch": lambda path: os.utime(path, ns=(5 * NS, 5 * NS)),
    "touch by a nanosecond": lambda path: os.utime(path, ns=(0, os.stat(path).st_mtime_ns + 1)),
    "longer": lambda path: _write(path, b"much longer\n"),
    "empty": lambda path: os.truncate(path, 0),
    "too large": lambda path: os.truncate(path, LARGE_BYTES + 1),
    "executable": lambda path: os.chmod(path, 0o744),
    "for all to execute": lambda path: os.chmod(path, 0o655),
    "gone": os.unlink,
    "another inode": _replaced_by(_write),
    "a link": _replaced_by(_link),
    "a pipe": _replaced_by(os.mkfifo),
    "a folder": _replaced_by(_folder),
    "something new": _beside(b"new.md"),
    "something odd": _beside(b"new.tmp"),
    "rules": _beside(b".gitignore", b"/a.md\nc*\n!c.md\ndeep/\n*.pdf\n"),
    "rules for a folder": _beside(b".gitignore", b"sub/\n"),
    "no rules": _beside(b".gitignore", b"# none\n"),
    "a stub instead": _by_a_stub,
    "a stub beside": lambda path: _write(os.path.join(os.path.dirname(path), b".b.pdf.icloud")),
    "a folder under another name": _move_folder_away,
}
FIELDS = [
    {},
    {},
    {},
    {"dev": 5, "uid": 7, "gid": 7},
    {"ino": 3},
    {"ctime_ns": 9},
    {"mtime_ns": 9},
    {"size": 0},
    {"mode": 0o120000},
]


def found_by(prover: str, project: Project, evidence: Evidence, options: Options) -> dict[str, Any]:
    """Return everything that a survey says."""
    with pytest.MonkeyPatch.context() as monkeypatch, Tree(project.root) as tree:
        if prover != "compiled":
            monkeypatch.setattr(proving, "native", None)
        if prover == "nothing":
            index = evidence.index
            monkeypatch.setattr(surveying, "prove", lambda *_: Proof(index, {}, bytearray(len(index))))
        survey = Surveyor(tree, options, evidence).survey(Scope())
    values = {name: getattr(survey, name) for name in vars(Survey()) if name != "counters"}
    values["skipped"] = sorted(values["skipped"])
    return values | {name: getattr(survey.counters, name) for name in ("files_seen", "dirs_seen", "files_read")}


def proven_by(prover: str, project: Project, evidence: Evidence) -> tuple[Mapping[bytes, Any], set[bytes]]:
    """Return what is handed back of each folder, and what is not proven."""
    with pytest.MonkeyPatch.context() as monkeypatch, Tree(project.root) as tree:
        if prover != "compiled":
            monkeypatch.setattr(proving, "native", None)
        proof = prove(tree, evidence, Classifier(OPTIONS), lambda _: None)
        folders = {
            path: (dev, proven, sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries))
            for path, (dev, proven, entries) in proof.folders.items()
        }
        return folders, proof.missing()


def _flagged(entry: Entry, flag: str) -> Entry:
    flags: dict[str, Any] = {flag: True} if flag else {}
    return entry._replace(**flags)


@settings(max_examples=1000 if NIGHTLY else 300)
@given(data=st.data())
def test_all_provers_lead_to_the_same_survey(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    project = Project(tmp_path_factory.mktemp("tree"), OPTIONS)
    for name in NAMES:
        project.write(name)
    fields = data.draw(st.lists(st.sampled_from(FIELDS), min_size=len(NAMES), max_size=len(NAMES)))
    entries = [project.entry(name, **changed) for name, changed in zip(NAMES, fields, strict=True)]
    flagged = data.draw(st.lists(st.sampled_from(["assume_valid", "skip_worktree", "intent_to_add", ""]), max_size=4))
    for place, flag in enumerate(flagged):
        entries[place] = _flagged(entries[place], flag)
    project.write("empty.md", b"")
    entries.append(project.entry("empty.md")._replace(blob_id=HELLO_ID))  # smudged, and then truncated
    project.write("large.pdf", bytes(LARGE_BYTES + 1))
    entries.append(project.entry("large.pdf")._replace(skip_worktree=False))  # under other options
    changed_s = entries[0].stat.ctime_s
    project.commit(entries, data.draw(st.sampled_from([LATE_S, LATE_S, LATE_S, changed_s, changed_s + 1])))
    for name, deed in data.draw(
        st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(DEEDS))), max_size=4)
    ):
        if os.path.lexists(project.path(name)) and stat.S_ISREG(os.lstat(project.path(name)).st_mode):
            DEEDS[deed](project.path(name))
    snapshot = project.read()
    evidence = Evidence(snapshot.index, snapshot.baseline, data.draw(st.sampled_from(TRUSTS)))
    options = data.draw(st.sampled_from([OPTIONS, OPTIONS._replace(include_hidden=True, include_temporary=True)]))
    plain = found_by("nothing", project, evidence, options)
    assert found_by("python", project, evidence, options) == plain
    if native is not None:
        assert found_by("compiled", project, evidence, options) == plain
        assert proven_by("compiled", project, evidence) == proven_by("python", project, evidence)


NEIGHBOURS = [
    *(b"a", b"a.md", b"a-b/c.md", b"a-b.md", b"a/b.md", b"a/b/c.md", b"a/b-c.md", b"a/b0.md", b"a0.md", b"a0/b.md"),
    *(
        b"ab.md",
        b"abc.md",
        b"a/.md",
        b"a/x.md.md",
        b"a/\xff.md",
        b"a/\xff/\xfe.md",
        b"a/\xc3\xa9.md",
        b"a/e\xcc\x81.md",
    ),
    *(b"a/\xf0\x9f\x98\x80.md", b"a/\xef\xbf\xbd.md", b"a/md", b"a/x.mdx", b"a/new\nline.md", b"a/ .md", b"a/~b.md"),
    *(b"a/#c.md", b"a/b/c/d/e.md", b"b/only.md", b"b.pdf", b"a/b.zip"),
]


@settings(max_examples=500 if NIGHTLY else 150)
@given(data=st.data())
def test_whatever_its_neighbours_are_a_name_is_proven_where_it_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What is indexed, what is there, and what changed are drawn by themselves."""
    project = Project(tmp_path_factory.mktemp("tree"), OPTIONS)
    named = data.draw(st.lists(st.sampled_from(NEIGHBOURS), min_size=1, unique=True))
    is_folder = {folder for name in named for folder in _above(name)}
    indexed = [name for name in named if name not in is_folder]
    for name in indexed:
        project.write(name)
    project.commit([project.entry(name) for name in indexed])
    gone = data.draw(st.sets(st.sampled_from(indexed)))
    edited = data.draw(st.sets(st.sampled_from(indexed))) - gone
    for name in gone:
        os.unlink(project.path(name))
    for name in edited:
        _edit(project.path(name))
    os.makedirs(project.path("empty/below"))
    for name in data.draw(st.lists(st.sampled_from(NEIGHBOURS), max_size=3)):
        with suppress(OSError):
            project.write(name) if name not in indexed else None
    snapshot = project.read()
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    folders, missing = proven_by("python", project, evidence)
    assert missing >= gone | edited
    strange = {name for name in indexed if not _is_ordinary(name.rpartition(b"/")[2])}
    assert missing == gone | edited | strange
    assert sum(proven for _, proven, _ in folders.values()) == len(indexed) - len(missing)
    if native is not None:
        assert proven_by("compiled", project, evidence) == (folders, missing)
    assert found_by("python", project, evidence, OPTIONS) == found_by("nothing", project, evidence, OPTIONS)


def _above(name: bytes) -> set[bytes]:
    parts = name.split(b"/")[:-1]
    return {b"/".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _is_ordinary(name: bytes) -> bool:
    text = os.fsdecode(name)
    return text[0] not in STRANGE_BEGINNINGS and text.endswith(ORDINARY_ENDINGS)


def test_no_ending_is_the_end_of_another() -> None:
    endings = [*ORDINARY_ENDINGS]
    assert not [(one, other) for one in endings for other in endings if one != other and one.endswith(other)]


def test_what_is_handed_back_is_asked_for_in_its_own_folder(project: Project) -> None:
    """However many folders were opened since."""
    sizes = {b"f%02d/odd" % number: number + 1 for number in range(80)}
    for path, size in sizes.items():
        project.write(path.replace(b"odd", b"a.md"))
        project.write(path, bytes(size))
    project.commit([project.entry(path) for path in project.files() if path.endswith(b".md")])
    snapshot = project.read()
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    for prover in ("python", "compiled"):
        assert found_by(prover, project, evidence, OPTIONS)["new"] == sizes


@pytest.mark.parametrize("prover", ["python", pytest.param("compiled", marks=needs_native)])
def test_an_unchanged_tree_is_proven_whole(project: Project, prover: str) -> None:
    project.write("a.md")
    project.write("sub/b.pdf")
    project.index_all()
    snapshot = project.read()
    folders, missing = proven_by(prover, project, Evidence(snapshot.index, snapshot.baseline, Trust()))
    assert missing == set()
    assert {path: (proven, names) for path, (_, proven, names) in folders.items()} == {
        b"": (1, [(".basic-memory", True), ("sub", True)]),
        b"sub": (1, []),
    }


@pytest.mark.parametrize("prover", ["nothing", "python", pytest.param("compiled", marks=needs_native)])
def test_rules_reach_files_that_are_proven_in_folders_below(project: Project, prover: str) -> None:
    for name in ("sub/deep/a.md", "sub/deep/b.md"):
        project.write(name)
    project.index_all()
    project.write(".gitignore", b"a.md\n")
    snapshot = project.read()
    found = found_by(prover, project, Evidence(snapshot.index, snapshot.baseline, Trust()), OPTIONS)
    assert (found["vanished"], found["unchanged"], found["files_seen"]) == ([b"sub/deep/a.md"], 1, 1)


@pytest.mark.parametrize("prover", ["python", pytest.param("compiled", marks=needs_native)])
def test_a_folder_that_became_a_link_is_not_looked_into(project: Project, prover: str, tmp_path: Path) -> None:
    project.write("sub/deep/a.md")
    project.index_all()
    os.rename(project.path("sub"), tmp_path / "moved")
    os.symlink(tmp_path / "moved", project.path("sub"))
    snapshot = project.read()
    folders, missing = proven_by(prover, project, Evidence(snapshot.index, snapshot.baseline, Trust()))
    assert (missing, list(folders)) == ({b"sub/deep/a.md"}, [b""])


def test_an_index_of_version_4_is_proven_as_well(project: Project, git: Git) -> None:
    project.write("sub/a.md")
    project.write("sub/b.md")
    project.index_all()
    git.run("update-index", "--index-version", "4")
    project.set_timestamp(LATE_S)
    snapshot = project.read()
    assert snapshot.index.version == 4
    baseline = snapshot.baseline._replace(is_trusted=True)  # whoever wrote it
    _, missing = proven_by("compiled", project, Evidence(snapshot.index, baseline, Trust()))
    assert missing == set()


def test_many_files_in_one_folder_are_proven(project: Project) -> None:
    for number in range(700):
        project.write(f"{number}.md")
    project.index_all()
    os.utime(project.path("333.md"), ns=(7 * NS, 7 * NS))
    snapshot = project.read()
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    for prover in ("compiled", "python"):
        folders, missing = proven_by(prover, project, evidence)
        assert missing == {b"333.md"}
        assert folders[b""][1:] == (699, [(".basic-memory", True), ("333.md", False)])


def test_however_deep_a_file_lies_it_is_found_unchanged(project: Project) -> None:
    """The compiled prover leaves what lies far down to a survey's own way."""
    for depth in (0, 1, 63, 64, 65, 200):
        project.write("d/" * depth + "a.md")
    entries = [project.entry(path) for path in project.files()]
    longest = entries[0]._replace(path=b"d/" * 40_000 + b"b.md")
    project.commit([*entries, longest])
    snapshot = project.read()
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    surveys = [found_by(prover, project, evidence, OPTIONS) for prover in ("compiled", "python", "nothing")]
    assert surveys[0] == surveys[1] == surveys[2]
    assert (surveys[0]["unchanged"], surveys[0]["vanished"]) == (6, [longest.path])


@pytest.mark.parametrize("wanted", ["", "0", "1"])
def test_a_variable_of_the_environment_does_without_what_is_compiled(
    monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv("BM_GITINDEX_PURE", wanted)
    is_there = importlib.util.find_spec("bm_gitindex._native") is not None
    assert (native_module._loaded() is not None) is (is_there and wanted != "1")


def test_where_nothing_was_compiled_python_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BM_GITINDEX_PURE", raising=False)
    monkeypatch.setitem(sys.modules, "bm_gitindex._native", None)
    assert native_module._loaded() is None


ANY_NAME = st.binary(max_size=12).filter(lambda name: not {0, 47} & set(name))


@given(
    start=ANY_NAME,
    ending=st.sampled_from(ORDINARY_ENDINGS),
    include_hidden=st.booleans(),
    include_temporary=st.booleans(),
)
def test_no_ordinary_name_is_left_out(start: bytes, ending: str, include_hidden: bool, include_temporary: bool) -> None:
    name = start + ending.encode()
    options = Options(include_hidden=include_hidden, include_temporary=include_temporary)
    if start and start[:1].decode("latin-1") not in STRANGE_BEGINNINGS:
        assert not Classifier(options).is_left_out(name)


@needs_native
def test_whoever_is_told_of_progress_can_end_it(project: Project) -> None:
    project.write("a.md")
    project.index_all()
    snapshot = project.read()

    def interrupt(_: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with Tree(project.root) as tree, pytest.raises(KeyboardInterrupt):
        prove(tree, Evidence(snapshot.index, snapshot.baseline, Trust()), Classifier(OPTIONS), interrupt)


@needs_native
@pytest.mark.parametrize(
    "wrong",
    [
        {"mask": b"\xff" * 39},
        {"changed_at": 37},
        {"threads": 0},
        {"threads": 17},
        {"endings": b".md"},
        {"offsets": (2**32 - 1).to_bytes(4, "little")},
        {"offsets": (12).to_bytes(4, "little") + (10_000).to_bytes(4, "little")},
        {"index": b""},
        {"index": b"a" * 100},
    ],
    ids=str,
)
def test_the_compiled_prover_refuses_what_it_cannot_use(project: Project, wrong: dict[str, Any]) -> None:
    project.write("a.md")
    project.index_all()
    index = project.read().index
    given_to_it = {
        "index": index.data,
        "offsets": bytes(index.offsets),
        "mask": b"\xff" * 40,
        "changed_at": 0,
        "endings": b".md\0",
        "remembered": b"",
        "threads": 2,
    } | wrong
    assert native is not None
    fd = os.open(project.root, os.O_RDONLY)
    try:
        with pytest.raises(ValueError, match=r"bounds|entry"):
            native.prove(
                fd,
                given_to_it["index"],
                given_to_it["offsets"],
                given_to_it["mask"],
                given_to_it["changed_at"],
                LATE_S,
                LARGE_BYTES,
                4096,
                given_to_it["endings"],
                given_to_it["remembered"],
                0,
                given_to_it["threads"],
                lambda _: None,
            )
    finally:
        os.close(fd)


def test_an_extended_entry_is_never_proven(project: Project) -> None:
    project.write("a.md")
    project.commit([project.entry("a.md")._replace(skip_worktree=True)])
    snapshot = project.read()
    assert snapshot.index.data[12 + 60] & (FLAG_EXTENDED >> 8)
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    for prover in ("compiled", "python"):
        assert proven_by(prover, project, evidence)[1] == {b"a.md"}
    with Tree(project.root) as tree:
        in_python = PythonProver(tree, evidence, Classifier(OPTIONS))
        in_python.prove(lambda _: None)
        assert in_python.proven == b"\0"
