"""Which machine this is, so that an index which was synchronised or restored from another one is not trusted."""

from __future__ import annotations

from functools import cache

_ID_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


@cache
def machine_id() -> str:
    """Return an id that stays the same across reboots: machine-id(5) where there is one, else the host's name."""
    for path in _ID_FILES:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text:
            return text
    # Imported here, since few systems need it.
    import platform

    return f"host {platform.node()}"
