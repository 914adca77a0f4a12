from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.config import config_path, flat_options, load_options, options_from, store_option
from bm_gitindex.errors import ConfigError, StateFolderError, StateWriteError
from bm_gitindex.options import NoteBounds, Options
from bm_gitindex.project import Project
from support.faults import raising

if TYPE_CHECKING:
    from pathlib import Path

VALUES: dict[str, tuple[str, object, str, str]] = {
    # name: TOML, value, text on the command line, TOML that does not fit
    "note_suffixes": ('[".md", ".txt"]', (".md", ".txt"), ".md, .txt", '".md"'),
    "ignore": ('["*.log", "/a b/"]', ("*.log", "/a b/"), "*.log,/a b/", "[1]"),
    "ignore_max_bytes": ("5_000", 5_000, "5 kB", "-1"),
    "include_hidden": ("true", True, "true", "1"),
    "include_temporary": ("true", True, "TRUE", '"yes"'),
    "large_file_bytes": ("5_000_000", 5_000_000, "5 MB", "-1"),
    "large_file_policy": ('"sample"', "sample", "sample", '"half"'),
    "trust_ctime": ("false", False, "false", '"no"'),
    "trust_filemode": ("false", False, "False", "0"),
    "check_stat": ('"minimal"', "minimal", "minimal", '"none"'),
    "state_dir": ('"~/state"', "~/state", "~/state", '""'),
    "database_url": (
        '"postgresql://me@db/notes"',
        "postgresql://me@db/notes",
        "postgresql://me@db/notes",
        '"notes.db"',
    ),
    "bounds.note_max_bytes": ("1024", 1024, "1 KiB", "1.5"),
    "bounds.front_matter_max_bytes": ("2048", 2048, "2 KiB", "true"),
    "bounds.front_matter_max_nodes": ("7", 7, "7", '"7"'),
    "bounds.front_matter_max_depth": ("8", 8, "8", "[8]"),
    "bounds.name_max_characters": ("9", 9, "9", "-9"),
    "bounds.max_items": ("9", 9, "9", "-9"),
    "bounds.max_nesting": ("10", 10, "10", "1e3"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".basic-memory").mkdir()
    return tmp_path


def configure(root: Path, text: str) -> None:
    config_path(root).write_text(text, "utf-8")


def as_toml(name: str, value: str) -> str:
    table, _, key = name.rpartition(".")
    return f"[{table}]\n{key} = {value}\n" if table else f"{key} = {value}\n"


def test_every_option_is_covered_here() -> None:
    names = set(Options._fields) - {"bounds"}
    names |= {f"bounds.{name}" for name in NoteBounds._fields}
    assert VALUES.keys() == names == flat_options(Options()).keys()


@pytest.mark.parametrize("name", VALUES)
def test_an_option_is_read_from_the_file(root: Path, name: str) -> None:
    toml, value, _, _ = VALUES[name]
    configure(root, as_toml(name, toml))
    flat = flat_options(load_options(root))
    assert flat == flat_options(Options()) | {name: value}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_does_not_fit_names_file_and_option(root: Path, name: str) -> None:
    configure(root, as_toml(name, VALUES[name][3]))
    with pytest.raises(ConfigError) as caught:
        load_options(root)
    assert str(config_path(root)) in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"include_hidden = true\nignore = [\n", "end of document"),
        (b"include_hidden = true\n\nignore = \xff\n", "line 3"),
        (b"include_hidden = true\nignore is nothing\n", "line 2"),
        (b"ignore = " + b"[" * 5000, "nested"),
        (b'state_dir = "a\\u0000b"', "state_dir"),
    ],
    ids=["cut short", "not text", "no TOML", "too deep", "NUL"],
)
def test_a_damaged_file_is_named_with_the_place(root: Path, content: bytes, place: str) -> None:
    configure(root, "")
    config_path(root).write_bytes(content)
    for attempt in (lambda: load_options(root), lambda: Project(root)):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert str(config_path(root)) in str(caught.value)
        assert place in str(caught.value)
        assert "\n" not in str(caught.value)
    assert config_path(root).read_bytes() == content


def test_an_option_is_not_stored_into_a_damaged_file(root: Path) -> None:
    for content in (b"\xff", b"a = [", b"a = " + b"[" * 5000):
        configure(root, "")
        config_path(root).write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be changed"):
            store_option(root, "include_hidden", "true")
        assert config_path(root).read_bytes() == content


@pytest.mark.parametrize("name", VALUES)
def test_an_option_is_stored_from_text(root: Path, name: str) -> None:
    store_option(root, name, VALUES[name][2])
    assert flat_options(load_options(root)) == flat_options(Options()) | {name: VALUES[name][1]}


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    assert load_options(tmp_path) == Options()
    assert load_options(tmp_path / "not there") == Options()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("large_file_byte", "large_file_bytes"),
        ("includehidden", "include_hidden"),
        ("bounds.max_item", "bounds.max_items"),
        ("max_nesting", "bounds.max_nesting"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(root: Path, name: str, suggestion: str) -> None:
    configure(root, as_toml(name, "1"))
    for attempt in (lambda: load_options(root), lambda: store_option(root, name, "1")):
        with pytest.raises(ConfigError, match=f"{name}.*do you mean {suggestion}"):
            attempt()


def test_a_name_like_none_suggests_nothing() -> None:
    with pytest.raises(ConfigError) as caught:
        options_from({"zzzzzz": 1})
    assert "mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("12", 12),
        ("1k", 1000),
        ("1 kB", 1000),
        ("1KiB", 1024),
        ("3 m", 3_000_000),
        ("3 MB", 3_000_000),
        ("3MiB", 3 * 2**20),
        ("2G", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        ("2 GiB", 2 * 2**30),
    ],
)
def test_sizes_have_units(root: Path, text: str, count: int) -> None:
    store_option(root, "large_file_bytes", text)
    assert load_options(root).large_file_bytes == count


@pytest.mark.parametrize("text", ["", "MB", "1.5 MB", "-1", "1 TB", "1 MM", "ten", "0x10", "1 2", "1 m b"])
def test_a_size_that_is_none_is_refused(root: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="large_file_bytes"):
        store_option(root, "large_file_bytes", text)
    assert not config_path(root).exists()


def test_storing_keeps_comments_order_and_other_options(root: Path) -> None:
    text = "# my notes\nlarge_file_bytes = 5  # small\n\n[bounds]\n# why so few\nmax_items = 3\n"
    configure(root, text)
    store_option(root, "include_hidden", "true")
    store_option(root, "bounds.max_items", "4")
    stored = config_path(root).read_text("utf-8")
    for kept in ("# my notes", "large_file_bytes = 5  # small", "# why so few", "max_items = 4"):
        assert kept in stored
    options = load_options(root)
    assert (options.large_file_bytes, options.include_hidden, options.bounds.max_items) == (5, True, 4)


def test_storing_makes_the_state_folder_and_a_private_file(tmp_path: Path) -> None:
    store_option(tmp_path, "include_hidden", "true")
    assert stat.S_IMODE(config_path(tmp_path).stat().st_mode) == 0o600
    assert (tmp_path / ".basic-memory" / ".gitignore").exists()


def test_a_file_that_cannot_be_written_stays_as_it_was(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_option(root, "include_hidden", "true")
    before = config_path(root).read_bytes()
    monkeypatch.setattr(os, "write", raising(OSError(28, "No space left on device")))
    with pytest.raises(StateWriteError, match=r"cannot write .*config\.toml: No space left"):
        store_option(root, "include_hidden", "false")
    assert config_path(root).read_bytes() == before


def test_storing_into_the_folder_of_another_program_is_refused(root: Path) -> None:
    (root / ".basic-memory" / "memory.db").touch()
    with pytest.raises(StateFolderError):
        store_option(root, "include_hidden", "true")


@pytest.mark.parametrize("text", [b"a = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named_and_left_alone(root: Path, text: bytes) -> None:
    config_path(root).write_bytes(text)
    for attempt in (lambda: load_options(root), lambda: store_option(root, "include_hidden", "true")):
        with pytest.raises(ConfigError, match=r"config\.toml"):
            attempt()
    assert config_path(root).read_bytes() == text


def test_bounds_that_are_no_table_are_refused(root: Path) -> None:
    configure(root, "bounds = 5\n")
    with pytest.raises(ConfigError, match="bounds is not a table"):
        load_options(root)


def test_storing_a_bound_where_bounds_are_no_table_is_refused(root: Path) -> None:
    configure(root, "bounds = 5\n")
    with pytest.raises(ConfigError, match="bounds"):
        store_option(root, "bounds.max_items", "4")


def test_a_dotted_name_in_quotes_is_refused(root: Path) -> None:
    configure(root, '"bounds.max_items" = 5\n')
    with pytest.raises(ConfigError, match="bounds"):
        load_options(root)


def test_a_number_of_any_length_is_refused_clearly(root: Path) -> None:
    with pytest.raises(ConfigError):
        store_option(root, "large_file_bytes", "9" * 5000)


def test_a_folder_in_place_of_the_file_is_said_clearly(root: Path) -> None:
    config_path(root).mkdir()
    with pytest.raises(StateFolderError, match="cannot read"):
        load_options(root)


def test_a_file_that_is_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("include_hidden = true\n")
    config_path(root).symlink_to(tmp_path / "other.toml")
    with pytest.raises(StateFolderError, match="cannot read"):
        load_options(root)
