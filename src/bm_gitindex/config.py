"""Options kept in `.basic-memory/config.toml`: reading, checking and changing them.

Names are those of the fields of `Options`; those of `NoteBounds` stand in a table `[bounds]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from bm_gitindex.errors import ConfigError, StateFolderError, StateWriteError
from bm_gitindex.options import CheckStat, LargeFilePolicy, NoteBounds, Options
from bm_gitindex.roots import CONFIG_NAME, FOLDER_NAME
from bm_gitindex.statefolder import StateFolder, open_state_file, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from pathlib import Path

_BOUNDS = "bounds"
_CHOICES: dict[str, tuple[str, ...]] = {
    "large_file_policy": get_args(LargeFilePolicy),
    "check_stat": get_args(CheckStat),
}
_LISTS = ("note_suffixes", "ignore")
_FLAGS = ("include_hidden", "include_temporary", "trust_ctime", "trust_filemode")
_URL = "database_url"
_TEXTS = ("state_dir", _URL)
_UNITS = {"": 1, "k": 1000, "kb": 1000, "kib": 1024, "m": 10**6, "mb": 10**6, "mib": 2**20, "g": 10**9, "gb": 10**9}
_UNITS |= {"gib": 2**30}


def config_path(root: Path) -> Path:
    """Return where a project's configuration is kept; it stays there even when `state_dir` moves the rest."""
    return root / FOLDER_NAME / CONFIG_NAME


def load_options(root: Path) -> Options:
    """Return the options of a project: those of its configuration file, and defaults for the rest.

    Raises ConfigError, naming file and option, and StateFolderError where the file cannot be read.
    """
    path = config_path(root)
    try:
        with open_state_file(path) as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Options()
    except OSError as error:
        raise StateFolderError(f"cannot read {path}: {error.strerror}") from error
    try:
        return options_from_toml(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def options_from_toml(data: bytes) -> Options:
    """Return the options that the bytes of a configuration file give.

    Raises ConfigError, naming the line where the bytes are no TOML, and the option where a value does not fit.
    """
    # Imported here, since most projects have no configuration file.
    import tomllib

    try:
        values = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line_number = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"not UTF-8 (at line {line_number})") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return options_from(values)


def options_from(values: Mapping[str, object]) -> Options:
    """Return the options with these names and values. Raises ConfigError for a name or a value that does not fit."""
    bounds = values.get(_BOUNDS, {})
    if not isinstance(bounds, dict):
        raise ConfigError("bounds is not a table")
    dotted = [name for name in values if "." in name]
    if dotted:
        raise ConfigError(_unknown(dotted[0]))
    top = {name: _checked(name, value) for name, value in values.items() if name != _BOUNDS}
    inner = {name: _checked(f"{_BOUNDS}.{name}", value) for name, value in bounds.items()}
    return Options(**top, bounds=NoteBounds(**inner))


def flat_options(options: Options) -> dict[str, object]:
    """Return every option by its dotted name."""
    flat: dict[str, object] = {}
    for name in Options._fields:
        if name == _BOUNDS:
            flat |= {f"{_BOUNDS}.{inner}": getattr(options.bounds, inner) for inner in NoteBounds._fields}
        else:
            flat[name] = getattr(options, name)
    return flat


def option_value(options: Options, name: str) -> object:
    """Return the value of one option by its dotted name. Raises ConfigError for a name that there is not."""
    flat = flat_options(options)
    if name not in flat:
        raise ConfigError(_unknown(name))
    return flat[name]


def store_option(root: Path, name: str, text: str) -> None:
    """Set one option in the configuration file from text as typed; comments in the file stay.

    Raises ConfigError for a name or a value that does not fit, and StateWriteError.
    """
    value = _parsed(name, text)
    _checked(name, value)
    if name == "state_dir":
        StateFolder(root, text).check()
    _edit(root, name, lambda table, key: table.__setitem__(key, value))


def unset_option(root: Path, name: str) -> None:
    """Take one option out of the configuration file, so that its default holds. Raises ConfigError, StateWriteError."""
    option_value(Options(), name)
    _edit(root, name, lambda table, key: table.pop(key, None))


def _edit(root: Path, name: str, change: Callable[[MutableMapping[str, Any], str], object]) -> None:
    """Let `change` alter the table that holds an option."""
    StateFolder(root).ensure()
    # Imported here, since only changing an option writes TOML.
    import tomlkit
    import tomlkit.exceptions

    path = config_path(root)
    try:
        document = tomlkit.parse(_text(path))
        *tables, key = name.split(".")
        change(document.setdefault(tables[0], tomlkit.table()) if tables else document, key)
        write_file(path, tomlkit.dumps(document).encode())
    except OSError as error:
        raise StateWriteError(f"cannot write {path}: {error.strerror}") from error
    except (tomlkit.exceptions.TOMLKitError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: {name} cannot be changed: {error}") from error


def _text(path: Path) -> str:
    """Return the text of the configuration file, none where there is no file. Raises OSError and ValueError."""
    try:
        with open_state_file(path) as file:
            return file.read().decode()
    except FileNotFoundError:
        return ""


def _checked(name: str, value: object) -> Any:
    """Return a value as the option's field holds it. Raises ConfigError."""
    if name not in flat_options(Options()):
        raise ConfigError(_unknown(name))
    expected = _misfit(name, value)
    if name == _URL:
        _check_url(value if expected is None else "")  # a message must not quote it
    elif expected:
        raise ConfigError(f"{name} is {expected}, not {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _misfit(name: str, value: object) -> str | None:
    """Return what the option wants instead of this value, or None where it fits."""
    if name in _CHOICES:
        return None if value in _CHOICES[name] else f"one of {', '.join(_CHOICES[name])}"
    if name in _LISTS:
        is_list = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        is_needed = name == "note_suffixes" and not value
        return None if is_list and not is_needed else "a list of texts"
    if name in _FLAGS:
        return None if isinstance(value, bool) else "true or false"
    if name in _TEXTS:
        return None if isinstance(value, str) and value and "\0" not in value else "a text"
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if is_count else "a whole number, 0 or more"


def _check_url(value: Any) -> None:
    """Raise ConfigError unless a value names a database server, and holds no password."""
    # Imported here, since most projects have no server.
    from bm_gitindex.entities.server import server_at

    server_at(value)


def _parsed(name: str, text: str) -> object:
    """Return the value that a text on the command line stands for."""
    if name in _CHOICES or name in _TEXTS:
        return text
    if name in _LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    if name in _FLAGS:
        return {"true": True, "false": False}.get(text.lower(), text)
    digits = text.rstrip("abgikmABGIKM ")
    unit = _UNITS.get(text[len(digits) :].strip().lower())
    is_number = digits.isdecimal() and len(digits) < 20 and unit is not None
    return int(digits) * unit if is_number and unit else text


def _unknown(name: str) -> str:
    # Imported here, since it serves only a user who mistyped.
    from difflib import get_close_matches

    close = get_close_matches(name, flat_options(Options()), n=1)
    return f"there is no option {name!r}" + (f"; do you mean {close[0]}?" if close else "")
