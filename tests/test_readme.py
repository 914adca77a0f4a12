"""The README's commands, options and promises are those of the code."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path

from bm_gitindex.cli import arguments
from bm_gitindex.config import flat_options
from bm_gitindex.options import Options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def block(name: str) -> str:
    """The shell command that follows a marker."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*)\n```\n", README)
    assert found is not None, f"README.md has no command marked {name}"
    return found[1]


def test_there_are_two_set_up_commands() -> None:
    assert len(re.findall(r"```sh\n", README)) == 2
    assert "bm-gitindex -C fixtures/vault sync" in block("job")
    assert "pytest" in block("tests")


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "readme_command job" in script
    assert "readme_command tests" in script


def test_every_option_is_in_the_table() -> None:
    documented = re.findall(r"^\| `([a-z_.]+)` \|", README, flags=re.MULTILINE)
    assert documented == list(flat_options(Options()))


def test_every_command_is_in_the_table_with_all_its_options() -> None:
    documented = dict(re.findall(r"^\| `([a-z-]+) (.*?)` \|", README, flags=re.MULTILINE))
    assert set(documented) == set(arguments.COMMANDS)
    for command in map(arguments.command_module, arguments.COMMANDS):
        parser = ArgumentParser(add_help=False)
        command.add_arguments(parser)
        spellings = [set(action.option_strings) for action in parser._actions if action.option_strings]
        told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", documented[command.NAME]))
        assert told <= set().union(*spellings), command.NAME
        assert all(told & spelling for spelling in spellings), command.NAME
