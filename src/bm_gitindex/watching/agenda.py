"""When to look at what: paths that were seen to change, paths to be looked at again, and passes over everything.

Nothing here has a clock, a thread or a file: the time is an argument, in seconds of a clock that nobody sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

QUIET_S = 0.05
"""How long nothing may have happened before what did is looked at."""
LONGEST_S = 1.0
"""How long it may wait where something happens all the time."""
HELD_S = 1.0
"""How long a path that is gone is waited for, in case that it comes back under another name."""
MOST_PATHS = 2_000
"""Of more than so many paths, a pass over everything finds out sooner what became of them."""
PATIENCE_S = 5.0
"""How long a pass lets changes go first, where something changes all the time."""
REST = 4
"""Between two passes there is so many times what the last one took, whoever asks for them."""
INTERVAL = "interval"
"""The reason of a pass that has no other."""
_NEVER = float("inf")


class Due(NamedTuple):
    """What is to be looked at now."""

    paths: frozenset[bytes]
    """None where everything is."""
    overdue: frozenset[bytes] = frozenset()
    """Those of them that are not to be held back once more."""
    reason: str = ""
    """Why everything is to be looked at; empty where only paths are."""

    @property
    def is_pass(self) -> bool:
        """Whether everything is to be looked at."""
        return bool(self.reason)


class Agenda:
    """What is still to be looked at, and when."""

    def __init__(self) -> None:
        self._changed: set[bytes] = set()
        self._first_s = self._last_s = 0.0
        self._held: dict[bytes, float] = {}
        self._again: dict[bytes, float] = {}
        self._pass_s = _NEVER
        self._reason = ""
        self._rested_s = -_NEVER

    @property
    def unsettled(self) -> frozenset[bytes]:
        """What was seen to change, and is not looked at yet."""
        return frozenset(self._changed).union(self._held)

    @property
    def awaits_pass(self) -> bool:
        """Whether a pass is to come for another reason than that it is time again."""
        return self._pass_s < _NEVER and self._reason != INTERVAL

    def changed(self, paths: Iterable[bytes], now_s: float) -> None:
        """Have these paths looked at as soon as it is quiet."""
        paths = frozenset(paths)
        if not paths:
            return
        if not self._changed:
            self._first_s = now_s
        self._last_s = now_s
        self._changed |= paths
        if len(self._changed) > MOST_PATHS:
            self._changed.clear()
            self.demand_pass("more changes at once than are looked at one by one", now_s)

    def hold(self, paths: Iterable[bytes], now_s: float) -> None:
        """Wait for paths that are gone: what comes now may be one of them under another name."""
        for path in paths:
            self._held.setdefault(path, now_s + HELD_S)
        if len(self._held) > MOST_PATHS:
            self._held.clear()
            self.demand_pass("more deletions at once than are looked at one by one", now_s)

    def release(self) -> frozenset[bytes]:
        """Return what is held, to be looked at together with something new."""
        held = frozenset(self._held)
        self._held.clear()
        return held

    def look_again(self, paths: Iterable[bytes], at_s: float) -> None:
        """Have these paths looked at then, if nothing happens to them before."""
        for path in paths:
            self._again[path] = min(at_s, self._again.get(path, _NEVER))
        if len(self._again) > MOST_PATHS:
            self._again.clear()
            self.demand_pass("many young files", at_s)

    def demand_pass(self, reason: str, at_s: float) -> None:
        """Have everything looked at then; of two times the earlier one counts, and any reason but the mere interval."""
        if at_s < self._pass_s or (self._reason == INTERVAL and reason != INTERVAL):
            self._pass_s, self._reason = min(at_s, self._pass_s), reason

    def passed(self, began_s: float, ended_s: float) -> None:
        """Take note of how long a pass took."""
        self._rested_s = ended_s + REST * (ended_s - began_s)

    def next_s(self) -> float:
        """Return when there is something to look at, if nothing happens before."""
        times = [*self._held.values(), *self._again.values(), self._next_pass_s()]
        if self._changed:
            times.append(min(self._last_s + QUIET_S, self._first_s + LONGEST_S))
        return min(times)

    def due(self, now_s: float) -> Due | None:
        """Take out what is to be looked at now, None where there is nothing.

        What was seen to change goes before a pass that is only due because it is time again, so that the pass can tell
        what nobody had seen.
        """
        is_ready = bool(self._changed) and now_s >= min(self._last_s + QUIET_S, self._first_s + LONGEST_S)
        if now_s >= self._next_pass_s():
            return self._take_pass()
        overdue = frozenset(path for path, at_s in self._held.items() if at_s <= now_s)
        again = frozenset(path for path, at_s in self._again.items() if at_s <= now_s)
        changed = frozenset(self._changed) if is_ready or overdue or again else frozenset()
        paths = changed | overdue | again
        if not paths:
            return None
        self._changed.difference_update(paths)
        for path in paths:
            self._held.pop(path, None)
            self._again.pop(path, None)
        return Due(paths, overdue)

    def _next_pass_s(self) -> float:
        """Return when a pass is due, which lets others go first where it is only due because it is time again."""
        has_others = bool(self._changed or self._held)
        patience_s = PATIENCE_S if self._reason == INTERVAL and has_others else 0.0
        return max(self._pass_s + patience_s, self._rested_s)

    def _take_pass(self) -> Due:
        due = Due(frozenset(), reason=self._reason)
        self._changed.clear()
        self._held.clear()
        self._again.clear()
        self._pass_s, self._reason = _NEVER, ""
        return due
