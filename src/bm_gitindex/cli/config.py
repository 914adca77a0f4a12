"""`bm-gitindex config`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bm_gitindex.cli.output import plain, print_text, root_of

if TYPE_CHECKING:
    import argparse

NAME = "config"
SUMMARY = "show or change the options in .basic-memory/config.toml"
EXAMPLE = "bm-gitindex config set ignore 'drafts/, *.log'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    get = actions.add_parser("get", help="print the value of one option")
    get.add_argument("name")
    change = actions.add_parser("set", help="set one option; lists have commas, sizes may say 10MB or 16MiB")
    change.add_argument("name")
    change.add_argument("value")
    unset = actions.add_parser("unset", help="put one option back to its default")
    unset.add_argument("name")
    actions.add_parser("list", help="print all options")


def run(arguments: argparse.Namespace) -> int:
    """Show or change options."""
    # Imported here: the other commands only read options.
    from bm_gitindex.config import flat_options, load_options, option_value, store_option, unset_option

    root = root_of(arguments)
    if arguments.action == "set":
        # Whatever the locale, the file is UTF-8.
        store_option(root, arguments.name, os.fsencode(arguments.value).decode("utf-8", "replace"))
    elif arguments.action == "unset":
        unset_option(root, arguments.name)
    elif arguments.action == "get":
        print_text(_shown(arguments.name, option_value(load_options(root), arguments.name)))
    else:
        for name, value in flat_options(load_options(root)).items():
            print_text(f"{name} = {_shown(name, value)}")
    return 0


def _shown(name: str, value: object) -> str:
    if value is None:
        return "(default)" if name in ("state_dir", "database_url") else "(by file system)"
    if isinstance(value, bool):
        return str(value).lower()
    return plain(", ".join(value) if isinstance(value, tuple) else str(value))
