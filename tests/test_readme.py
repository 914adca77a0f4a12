"""The README's commands, options and promises are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_every_command_is_in_the_table() -> None:
    documented = re.findall(r"^\| `([a-z-]+) ", README, flags=re.MULTILINE)
    assert documented == [
        "status",
        "sync",
        "ls-files",
        "show",
        "find",
        "links",
        "verify",
        "config",
        "import-basic-memory",
    ]
