"""What changed in a folder of notes, found by a hidden git index, and an entity database made from just that.

    import bm_gitindex as bmg

    status = bmg.status(root)
    report = await bmg.sync(root)
    async with bmg.open_entities(root) as entities:
        note = await entities.get("permalink")
    async for report in bmg.watch(root):
        ...

Importing this package imports nothing else of it: each name is loaded when it is first used.
"""

from __future__ import annotations

from bm_gitindex.version import VERSION

TYPE_CHECKING = False  # `typing` takes as long to import as a watcher to answer
if TYPE_CHECKING:
    from bm_gitindex.changes import Change, ChangeStatus, Status
    from bm_gitindex.entities.reader import Entities
    from bm_gitindex.entities.records import Entity, EntitySummary, Filter, Neighbour, Neighbourhood, UnresolvedLink
    from bm_gitindex.errors import BmGitIndexError
    from bm_gitindex.options import NoteBounds, Options, WatchOptions
    from bm_gitindex.progress import Progress
    from bm_gitindex.project import Project, open_entities, status, sync, watch
    from bm_gitindex.rules import Kind, Skipped, SkipReason
    from bm_gitindex.survey import Counters
    from bm_gitindex.syncing.importing import ImportReport, ImportRequest
    from bm_gitindex.syncing.report import SyncReport, SyncRequest
    from bm_gitindex.verify import Mismatch, Verification
    from bm_gitindex.watching.report import WatchReport

__version__ = VERSION

__all__ = [
    "BmGitIndexError",
    "Change",
    "ChangeStatus",
    "Counters",
    "Entities",
    "Entity",
    "EntitySummary",
    "Filter",
    "ImportReport",
    "ImportRequest",
    "Kind",
    "Mismatch",
    "Neighbour",
    "Neighbourhood",
    "NoteBounds",
    "Options",
    "Progress",
    "Project",
    "SkipReason",
    "Skipped",
    "Status",
    "SyncReport",
    "SyncRequest",
    "UnresolvedLink",
    "Verification",
    "WatchOptions",
    "WatchReport",
    "__version__",
    "open_entities",
    "status",
    "sync",
    "watch",
]

_MODULES = {
    "BmGitIndexError": "errors",
    "Change": "changes",
    "ChangeStatus": "changes",
    "Counters": "survey",
    "Entities": "entities.reader",
    "Entity": "entities.records",
    "EntitySummary": "entities.records",
    "Filter": "entities.records",
    "ImportReport": "syncing.importing",
    "ImportRequest": "syncing.importing",
    "Kind": "rules",
    "Mismatch": "verify",
    "Neighbour": "entities.records",
    "Neighbourhood": "entities.records",
    "NoteBounds": "options",
    "Options": "options",
    "Progress": "progress",
    "Project": "project",
    "SkipReason": "rules",
    "Skipped": "rules",
    "Status": "changes",
    "SyncReport": "syncing.report",
    "SyncRequest": "syncing.report",
    "UnresolvedLink": "entities.records",
    "Verification": "verify",
    "WatchOptions": "options",
    "WatchReport": "watching.report",
    "open_entities": "project",
    "status": "project",
    "sync": "project",
    "watch": "project",
}


def __getattr__(name: str) -> object:
    """Load a public name from the module that has it (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported here: it is needed once for each name.
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
