"""Commands run in this process, and what they say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bm_gitindex import cli

if TYPE_CHECKING:
    import pytest

NOTE = "---\ntitle: One\ntags: [a]\n---\n- [fact] water is wet #nature (seen)\n- relates_to [[Two]]\n"


class Run:
    """What one command said, and how it ended."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capfdbinary

    def __call__(self, *arguments: str) -> Run:
        try:
            self.code = cli.main(arguments)
        except SystemExit as done:
            self.code = int(done.code or 0)
        self.output, self.errors = (part for part in self._capture.readouterr())
        return self

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.output)
        return value
