"""`bm-gitindex config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.cli.output import print_text, project_of

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
    change = actions.add_parser(
        "set", help="set one option; lists are separated by commas, sizes may say 10MB or 16MiB"
    )
    change.add_argument("name")
    change.add_argument("value")
    actions.add_parser("list", help="print all options")


def run(arguments: argparse.Namespace) -> int:
    """Show or change options."""
    # Imported here: the other commands only read options.
    from bm_gitindex.config import flat_options, option_value, store_option

    project = project_of(arguments)
    if arguments.action == "set":
        store_option(project.root, arguments.name, arguments.value)
    elif arguments.action == "get":
        print_text(_shown(option_value(project.options, arguments.name)))
    else:
        for name, value in flat_options(project.options).items():
            print_text(f"{name} = {_shown(value)}")
    return 0


def _shown(value: object) -> str:
    if value is None:
        return "(chosen by file system)"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)
