"""What watcher and asker say to each other beyond a word, as JSON; paths as text, what is not UTF-8 in surrogates."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from bm_gitindex.changes import Change, ChangeStatus, Status
from bm_gitindex.rules import Kind, Skipped, SkipReason
from bm_gitindex.survey import Counters

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.watching.report import WatchReport

_COUNTERS = ("files_seen", "dirs_seen", "files_read", "bytes_read")
_NAMED = 100


def status_text(status: Status) -> str:
    """Return a status as one line of JSON."""
    changes = [
        [one.status.value, _text(one.path), _text(one.old_path), one.kind.value, one.size_bytes]
        for one in status.changes
    ]
    skipped = [[_text(one.path), one.reason.value, one.detail] for one in status.skipped]
    counters = [getattr(status.counters, name) for name in _COUNTERS]
    return json.dumps([changes, skipped, counters, status.seconds])


def status_from(text: bytes, root: Path) -> Status:
    """Return the status that a line of JSON stands for. Raises ValueError where it is none."""
    try:
        changes, skipped, numbers, seconds = json.loads(text)
        counters = Counters()
        for name, number in zip(_COUNTERS, numbers, strict=True):
            setattr(counters, name, int(number))
        return Status(
            root,
            tuple(
                Change(ChangeStatus(what), os.fsencode(path), old and os.fsencode(old), Kind(kind), size)
                for what, path, old, kind, size in changes
            ),
            tuple(Skipped(os.fsencode(path), SkipReason(reason), detail) for path, reason, detail in skipped),
            counters,
            float(seconds),
        )
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def told_status(answer: bytes, root: Path) -> Status | None:
    """Return the status that a watcher's answer gives; None where it gives none."""
    word, _, rest = answer.partition(b" ")
    number, _, _ = rest.partition(b" ")
    if word == b"clean" and number.isdigit():
        counters = Counters()
        counters.files_seen = int(number)
        return Status(root, (), (), counters, 0.0)
    if word != b"status":
        return None
    try:
        return status_from(rest.partition(b" ")[2], root)
    except ValueError:
        return None


def report_text(report: WatchReport) -> str:
    """Return a report as one line of JSON."""
    sync = report.sync
    told: dict[str, Any] = {
        "at_s": round(report.at_s, 3),
        "reason": report.reason,
        "paths": [_text(path) for path in report.paths[:_NAMED]],
        "missed": [_text(path) for path in report.missed[:_NAMED]],
        "skipped": [{"path": _text(one.path), "reason": one.why} for one in report.skipped[:_NAMED]],
        "notes": list(report.notes),
        "error": report.error,
    }
    if sync is not None:
        told |= sync.counts
        told["changed"] = [_text(path) for path in sync.changed.paths[:_NAMED]]
        told["failed"] = [{"path": _text(one.path), "error": one.why} for one in sync.failed[:_NAMED]]
        told["warnings"] = [{"path": _text(path), "warning": text} for path, text in sync.warnings[:_NAMED]]
        told["notices"] = sync.notices
        told["seconds"] = round(sync.seconds, 6)
    return json.dumps(told)


def _text(path: bytes | None) -> str | None:
    return None if path is None else os.fsdecode(path)
