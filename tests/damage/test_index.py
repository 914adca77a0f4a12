"""Every byte of a small index flipped, and every length of it: refused, or of no worth as evidence."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.encoding import encode
from bm_gitindex.index.entry import Entry, Tracking
from fuzz.targets import check_index
from support import values
from support.damage import flipped, flips, lengths_changed
from support.git import Git
from support.profile import NIGHTLY, sample
from support.values import entry, sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bm_gitindex.index.entry import Index
    from support.damage import Scene

UNCHECKED = bytes(20)
_CHECKED_BY_DAY = 12
_UID_OFFSET = 12 + 28
"""Of the first entry: nothing is concluded from it."""
PLAIN = [entry(b"a.md"), entry(b"a/b.md"), entry(b"c.png")]
LARGE = Entry.of(b"large.pdf", values.STAT, values.SOME_ID, Tracking.STAT)


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Index bytes by version and writer."""
    folder = tmp_path_factory.mktemp("forms")
    written = {}
    for version in (2, 4):
        git = Git(folder / f"git-{version}", folder / f"index-{version}", folder)
        git.cacheinfo(*(b"100644 %s 0\t%b" % (e.blob_id.hex().encode(), e.path) for e in PLAIN), index_threads=2)
        git("update-index", "--force-write-index", "--index-version", str(version), index_threads=2)
        written[f"git, version {version}"] = git.index.read_bytes()
    return {"version 2": encode(PLAIN), "version 3": encode([*PLAIN, LARGE]), **written}


FORMS = ["version 2", "version 3", "git, version 2", "git, version 4"]


def test_the_forms_are_what_they_are_called(forms: dict[str, bytes]) -> None:
    assert list(forms) == FORMS
    assert [form[7] for form in forms.values()] == [2, 3, 2, 4]
    assert all(b"EOIE" in form[-52:] and b"IEOT" in form for name, form in forms.items() if "git" not in name)
    assert all(list(decode(form)) == sorted(decode(form)) for form in forms.values())


@pytest.mark.parametrize("form", FORMS)
def test_a_checksum_lets_no_damage_through(forms: dict[str, bytes], form: str) -> None:
    data = forms[form]
    for damaged in chain((damaged for _, damaged in flips(data)), lengths_changed(data)):
        with pytest.raises(IndexDamagedError):
            decode(damaged)


@pytest.mark.parametrize("form", FORMS)
def test_without_a_checksum_damage_is_refused_or_proves_nothing(forms: dict[str, bytes], form: str) -> None:
    data = forms[form][:-20] + UNCHECKED
    assert not decode(data).is_checked
    for damaged, index in accepted(chain((damaged for _, damaged in flips(data)), lengths_changed(data))):
        assert not index.is_checked
        check_index(damaged, index)


@pytest.mark.parametrize("form", FORMS)
def test_under_a_checksum_made_anew_damage_is_refused_or_names_another_index(
    forms: dict[str, bytes], form: str
) -> None:
    """Under another trailer than that in `index.own` and in the database, an index proves nothing."""
    data = forms[form]
    trailer = decode(data).trailer
    bodies = chain((damaged for _, damaged in flips(data[:-20])), lengths_changed(data[:-20]))
    for damaged, index in accepted(map(sealed, bodies)):
        assert index.trailer != trailer
        check_index(damaged, index)


def accepted(cases: Iterable[bytes]) -> Iterator[tuple[bytes, Index]]:
    """Yield each case that is not refused, by day one of so many of them, with the index read from it."""
    read: list[tuple[bytes, Index]] = []
    for data in cases:
        with suppress(IndexDamagedError, IndexUnsupportedError):
            read.append((data, decode(data)))
    yield from read if NIGHTLY else read[::_CHECKED_BY_DAY]


# --- status and sync -------------------------------------------------------------------------------------------------


def cases(data: bytes, seal: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield damaged forms of an index: one flip for each byte, by night more, and each length."""
    body = data[:-20]
    for at in range(len(body)):
        for mask in (0x01, 0x80, 0xFF) if NIGHTLY else ((0x01, 0x80, 0xFF)[at % 3],):
            yield seal(flipped(body, at, mask))
    for length in range(len(body)):
        yield seal(body[:length])


def test_a_damaged_index_is_kept_aside_and_built_anew(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    vault = scene.vault
    whole = vault.index_path.read_bytes()
    every = [*(flipped(whole, at, 0x41) for at in range(len(whole))), *lengths_changed(whole)]
    for damaged in sample(every, 8):
        vault.index_path.write_bytes(damaged)
        assert scene.run("status") == 6
        assert "`bm-gitindex sync` keeps it aside" in capsys.readouterr().err
        assert vault.index_path.read_bytes() == damaged
        assert scene.run("verify") == 6
        assert scene.run("sync") == 0
        captured = capsys.readouterr()
        assert "index was damaged" in captured.err
        assert "kept as index.corrupt-1" in captured.err
        assert scene.set_aside("index") == [damaged]
        assert vault.project.verify().ok
        assert (vault.meaning(), vault.ids()) == (scene.meaning, scene.ids)
        assert scene.files_are_untouched
        scene.restore()


def test_each_damaged_index_is_kept_under_a_name_of_its_own(scene: Scene) -> None:
    for number, damaged in enumerate((b"", b"one", b"two"), 1):
        scene.vault.index_path.write_bytes(damaged)
        assert f"index.corrupt-{number}" in scene.vault.sync().notices[0]
    assert scene.set_aside("index") == [b"", b"one", b"two"]


@pytest.mark.parametrize("seal", [sealed, lambda body: body + UNCHECKED], ids=["checksum made anew", "no checksum"])
def test_damage_that_no_checksum_tells_costs_no_edit_and_no_entity(
    scene: Scene, seal: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    vault = scene.vault
    whole = vault.index_path.read_bytes()
    for damaged in sample(list(cases(whole, seal)), 8):
        vault.index_path.write_bytes(damaged)
        vault.age_index()
        scene.edit_unseen("notes/1.md")
        if scene.run("status") == 6:
            assert str(vault.index_path) in capsys.readouterr().err
        else:
            assert "notes/1.md" in capsys.readouterr().out
        if scene.run("sync") == 6:  # a kind of index that is not known here: not ours to replace
            assert "delete the file" in capsys.readouterr().err
            assert vault.index_path.read_bytes() == damaged
            vault.index_path.unlink()
            assert scene.run("sync") == 0
        assert vault.project.verify().ok
        assert b"notes/1.md" in vault.index
        assert vault.ids() == scene.ids
        assert vault.rows("SELECT count(*) FROM observation WHERE category = 'fake'") == [(1,)]
        scene.restore()


@pytest.mark.parametrize("seal", [sealed, lambda body: body + UNCHECKED], ids=["checksum made anew", "no checksum"])
def test_where_no_checksum_tells_damage_every_hashed_file_is_read(scene: Scene, seal: Callable[[bytes], bytes]) -> None:
    vault = scene.vault
    assert vault.status().counters.files_read < len(scene.files) - 1
    vault.index_path.write_bytes(seal(flipped(vault.index_path.read_bytes()[:-20], _UID_OFFSET, 0x01)))
    vault.age_index()
    assert vault.status().counters.files_read == len(scene.files) - 1  # the large one is known by its stat
    assert vault.status().is_clean


def test_a_stat_only_entry_with_another_id_is_stored_anew(scene: Scene) -> None:
    vault = scene.vault
    whole = vault.index_path.read_bytes()
    vault.index_path.write_bytes(sealed(whole.replace(vault.index[b"large.pdf"].blob_id, values.SOME_ID)[:-20]))
    assert [change.path for change in vault.status().changes] == [b"large.pdf"]
    vault.sync()
    assert vault.project.verify().ok


def test_what_a_damaged_index_forgot_is_found_again(scene: Scene) -> None:
    vault = scene.vault
    kept = [vault.index[path] for path in list(vault.index)[1:]]
    vault.index_path.write_bytes(encode(kept))
    report = vault.sync()
    assert (report.added, report.modified, report.deleted) == (0, 0, 0)
    assert (vault.meaning(), vault.ids()) == (scene.meaning, scene.ids)


def test_an_index_of_other_files_costs_no_entity(scene: Scene) -> None:
    vault = scene.vault
    vault.index_path.write_bytes(encode([entry(b"other.md"), entry(b"notes/9.md")]))
    assert scene.run("sync") == 0
    assert vault.project.verify().ok
    assert (vault.meaning(), vault.ids()) == (scene.meaning, scene.ids)
