"""Which PostgreSQL database `database_url` names. It never holds a password: that is the environment's."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from bm_gitindex.errors import ConfigError

_SCHEMES = ("postgresql", "postgresql+asyncpg")
_PARAMETERS = frozenset({"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"})
_FORM = "postgresql://[USER@]HOST[:PORT]/DATABASE"


@dataclass(frozen=True, slots=True)
class Server:
    """One database of a PostgreSQL server."""

    url: str
    """In libpq's form, which is also the driver's."""
    name: str
    """How messages call it."""

    def __str__(self) -> str:
        return self.name


def server_at(url: str) -> Server:
    """Return the database that a URL names.

    Raises ConfigError, which quotes nothing: wherever a URL is not understood, any part of it may be of a password.
    """
    try:
        parts = urlsplit(url)
        parameters = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        host, port, user = parts.hostname, parts.port, parts.username
    except ValueError:
        raise ConfigError(f"database_url is {_FORM}, which what is given is not") from None
    if parts.scheme not in _SCHEMES:
        raise ConfigError(f"database_url is {_FORM}; without one, the database is an SQLite file in the state folder")
    if parts.password or any("password" in key.lower() for key, _ in parameters):
        raise ConfigError(
            "database_url holds a password, and the configuration is no place for one: "
            "take it out of the URL, and give it by PGPASSWORD, or in the file that PGPASSFILE names"
        )
    unknown = {key for key, _ in parameters} - _PARAMETERS
    database = parts.path.removeprefix("/")
    if unknown or parts.fragment or not database or "/" in database or "@" in database or _is_odd(url):
        raise ConfigError(f"database_url is {_FORM}, with no parameters but {', '.join(sorted(_PARAMETERS))}")
    place = "" if host is None else f"[{host}]" if ":" in host else host
    place += "" if port is None else f":{port}"
    owner = f"{quote(unquote(user), safe='')}@" if user else ""
    query = f"?{urlencode(parameters)}" if parameters else ""
    name = unquote(database)
    shown = place or dict(parameters).get("host") or "the host that the environment names"
    location = f"postgresql://{owner}{place}/{quote(name, safe='')}{query}"
    return Server(location, f"PostgreSQL database {name!r} ({shown})")


def _is_odd(url: str) -> bool:
    return any(character.isspace() or not character.isprintable() for character in url)
