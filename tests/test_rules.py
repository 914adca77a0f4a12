from __future__ import annotations

import pytest

from bm_gitindex.index.entry import Tracking
from bm_gitindex.options import Options
from bm_gitindex.rules import Classifier, Kind, SkipReason, icloud_stub_target, is_git_folder

DEFAULT = Classifier(Options())
LIMIT = 10_000_000


@pytest.mark.parametrize(
    ("path", "size_bytes", "kind"),
    [
        (b"a.md", 1, Kind.NOTE),
        (b"sub/A.MD", 1, Kind.NOTE),
        (b"a.Markdown", 1, Kind.NOTE),
        (b"a.md", 10 * LIMIT, Kind.NOTE),
        (b"a.mdx", 1, Kind.FILE),
        (b"md", 1, Kind.FILE),
        (b"a.md/b", 1, Kind.FILE),
        (b"a.pdf", LIMIT, Kind.FILE),
        (b"a.pdf", LIMIT + 1, Kind.STAT_ONLY),
        (b"a.pdf", 2**40, Kind.STAT_ONLY),
    ],
)
def test_kind_follows_name_and_size(path: bytes, size_bytes: int, kind: Kind) -> None:
    assert DEFAULT.kind(path, size_bytes) is kind


@pytest.mark.parametrize(("policy", "kind"), [("stat", Kind.STAT_ONLY), ("sample", Kind.SAMPLE), ("full", Kind.FILE)])
def test_the_policy_rules_large_files(policy: str, kind: Kind) -> None:
    classifier = Classifier(Options(large_file_policy=policy, large_file_bytes=5))  # type: ignore[arg-type]
    assert classifier.kind(b"a.pdf", 6) is kind
    assert classifier.kind(b"a.pdf", 5) is Kind.FILE


def test_suffixes_are_those_of_the_options_in_any_case() -> None:
    classifier = Classifier(Options(note_suffixes=(".TXT", ".org")))
    kinds = [classifier.kind(path, 1) for path in (b"a.txt", b"a.Org", b"a.md")]
    assert kinds == [Kind.NOTE, Kind.NOTE, Kind.FILE]
    assert Classifier(Options(note_suffixes=())).kind(b"a.md", 1) is Kind.FILE


def test_every_kind_has_a_tracking() -> None:
    assert {kind: kind.tracking for kind in Kind} == {
        Kind.NOTE: Tracking.CONTENT,
        Kind.FILE: Tracking.CONTENT,
        Kind.STAT_ONLY: Tracking.STAT,
        Kind.SAMPLE: Tracking.SAMPLE,
    }


TEMPORARY = [
    *(b"note.md~", b"#note.md#", b"4913", b"note.md.swp", b"x.swo", b"x.tmp", b"note.bak~"),
    *(b"a___jb_tmp___", b"a___jb_old___", b"~$report.docx", b"a.part", b"a.crdownload", b"a.download"),
    *(b"note.md.sb-1a2b3c4d-Ab12Cd", b"Thumbs.db", b"THUMBS.DB", b"Desktop.ini", b"Icon\r"),
]
HIDDEN_TEMPORARY = [b".note.md.swp", b".#note.md", b".~lock.a.odt#", b".DS_Store"]
ORDINARY = [
    *(b"note.md", b"a#b.md", b"#tag.md", b"4913.md", b"x.swatch", b"tmp", b"template.tmp.md", b"part.md"),
    *(b"a.parts", b"Icon", b"Icon\n", b"Thumbs.db.md", b"~note.md", b"note.md.sb-1a2b"),
]


@pytest.mark.parametrize("name", TEMPORARY)
def test_temporary_names_are_left_out_unless_asked_for(name: bytes) -> None:
    assert DEFAULT.is_left_out(name)
    assert not Classifier(Options(include_temporary=True)).is_left_out(name)


@pytest.mark.parametrize("name", HIDDEN_TEMPORARY)
def test_a_name_both_hidden_and_temporary_needs_both_options(name: bytes) -> None:
    assert DEFAULT.is_left_out(name)
    assert Classifier(Options(include_hidden=True)).is_left_out(name)
    assert Classifier(Options(include_temporary=True)).is_left_out(name)
    assert not Classifier(Options(include_hidden=True, include_temporary=True)).is_left_out(name)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay(name: bytes) -> None:
    assert not DEFAULT.is_left_out(name)


def test_hidden_names_are_left_out_unless_asked_for_and_our_state_always() -> None:
    everything = Classifier(Options(include_hidden=True, include_temporary=True))
    assert DEFAULT.is_left_out(b".obsidian")
    assert not everything.is_left_out(b".obsidian")
    assert everything.is_left_out(b".basic-memory")


@pytest.mark.parametrize(
    ("name", "answer"), [(b".git", True), (b".GiT", True), (b".gitignore", False), (b"git", False)]
)
def test_git_folders_are_known_in_any_case(name: bytes, answer: bool) -> None:
    assert is_git_folder(name) is answer


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (b".a.md.icloud", b"a.md"),
        (b".new\nline.md.icloud", b"new\nline.md"),
        (b".icloud", None),
        (b"..icloud", None),
        (b"a.md.icloud", None),
        (b".a.md.icloudx", None),
    ],
)
def test_an_icloud_stub_names_its_file(name: bytes, target: bytes | None) -> None:
    assert icloud_stub_target(name) == target


@pytest.mark.parametrize("reason", SkipReason)
def test_what_could_not_be_looked_at_keeps_what_is_known(reason: SkipReason) -> None:
    proven = {
        SkipReason.SYMLINK,
        SkipReason.FIFO,
        SkipReason.SOCKET,
        SkipReason.DEVICE,
        SkipReason.NAME,
        SkipReason.TOO_LONG,
    }
    proven |= {SkipReason.RULES_NOTHING}  # more is seen without its rules, and not less
    assert reason.keeps_known is (reason not in proven)
    assert not reason.is_failure or reason.keeps_known
