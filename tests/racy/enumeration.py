"""Every interleaving of up to so many steps, and what is missed after each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bm_gitindex.index.codec import decode
from bm_gitindex.index.compare import change_time
from racy import gits
from racy.world import F, content_id, second

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from racy.ours import Rules
    from racy.steps import Ours, Step
    from racy.world import World

    Judge = Callable[[World], Iterable[str]]

ONE_DAY = 100_000
"""Later than anything that happens."""

CLOCK_LIMIT = "limit: the clock was set back, and the file changed again at the very time at which it had been read"
MTIME_LIMIT = "limit: ctime is not trusted, and the mtime was put back"


@dataclass
class Findings:
    """What an enumeration came to."""

    states: int = 0
    """Different states that were reached and judged."""
    interleavings: int = 0
    """Sequences of steps that lead to them, of every length up to the depth."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """How many states end in a miss, by the kind of it; a miss that is a limit says so."""
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The first, and so shortest, sequence of steps that leads to each kind of miss."""

    @property
    def misses(self) -> dict[str, tuple[str, ...]]:
        """The examples that are no limits."""
        return {verdict: steps for verdict, steps in self.examples.items() if not verdict.startswith("limit")}


class Enumeration:
    """Takes every step from every state, so many times, and judges each state that is reached."""

    def __init__(self, steps: Mapping[str, Step], judge: Judge) -> None:
        self._steps = steps
        self._judge = judge
        self._came_from: dict[World, tuple[World | None, str]] = {}
        self.findings = Findings()

    def run(self, starts: Iterable[World], depth: int) -> Findings:
        """Return what there is to find within `depth` steps; the first miss that is no limit ends the search.

        Sequences that lead to one state are followed once, and counted each. The states of the last layer are many,
        and have no successors: of them only what is judged is kept.
        """
        ways: dict[World, int] = {}
        follow: dict[World, list[World]] = {}
        for start in starts:
            self._came_from[start] = None, "start"
            ways[start] = 1
        layer = list(ways)
        for _ in range(depth - 1):
            layer = self._next_layer(layer, follow)
            ways = _next_ways(ways, follow)
            self.findings.interleavings += sum(ways.values())
            if self.findings.misses:
                return self.findings
        self.findings.states = len(self._came_from)
        self._last_layer(layer, ways, follow)
        return self.findings

    def _next_layer(self, layer: list[World], follow: dict[World, list[World]]) -> list[World]:
        following = []
        for world in layer:
            follow[world] = []
            for name, after in self._after(world):
                follow[world].append(after)
                if after not in self._came_from:
                    self._came_from[after] = world, name
                    following.append(after)
                    self._judge_one(after, world, name)
        return following

    def _last_layer(self, layer: list[World], ways: dict[World, int], follow: dict[World, list[World]]) -> None:
        seen = set()
        for world in layer:
            count = 0
            for name, after in self._after(world):
                count += 1
                if after not in self._came_from and hash(after) not in seen:
                    seen.add(hash(after))
                    self._judge_one(after, world, name)
            self.findings.interleavings += count * ways.get(world, 0)
        self.findings.interleavings += sum(
            count * len(follow[world]) for world, count in ways.items() if world in follow
        )
        self.findings.states += len(seen)

    def _after(self, world: World) -> Iterator[tuple[str, World]]:
        for name, step in self._steps.items():
            for after in step(world):
                yield name, after

    def _judge_one(self, world: World, before: World, step: str) -> None:
        for verdict in self._judge(world):
            self.findings.verdicts[verdict] += 1
            if verdict not in self.findings.examples:
                self.findings.examples[verdict] = (*self._path_to(before), step)

    def _path_to(self, world: World | None) -> tuple[str, ...]:
        names: list[str] = []
        while world is not None:
            world, name = self._came_from[world]
            names.append(name)
        return tuple(reversed(names))


def _next_ways(ways: Mapping[World, int], follow: Mapping[World, list[World]]) -> dict[World, int]:
    after: Counter[World] = Counter()
    for world, count in ways.items():
        for following in follow[world]:
            after[following] += count
    return after


# --- judging ---------------------------------------------------------------------------------------------------------


def judge_ours(ours: Ours) -> Judge:
    """Return a judge of our own program: what would a status, or a sync, undisturbed, miss in this state?"""
    rules = ours.rules

    def judge(world: World) -> Iterable[str]:
        now = world.now if _is_of_the_future(rules, world) else ONE_DAY
        key = hash((now, world.f, world.g, world.disk, world.database))
        if key not in judged:
            judged[key] = tuple(judge_anew(world))
        return judged[key]

    def judge_anew(world: World) -> Iterator[str]:
        if _status_misses(rules, world):
            yield _kind_of_miss(rules, world, "status", None)
        for now in _times_of_sync(rules, world):
            wrong = _wrong_after_sync(ours, world._replace(now=now, run=None))
            if wrong:
                yield _kind_of_miss(rules, world, "sync", now) if wrong == "index" else f"missed: {wrong} after a sync"

    judged: dict[int, tuple[str, ...]] = {}
    return judge


def _times_of_sync(rules: Rules, world: World) -> Iterator[int]:
    """Yield when a sync is to look: one day, and now, where the index seems to be of the future.

    Other than by such an index, what a sync sees does not depend on when it looks.
    """
    yield ONE_DAY
    if _is_of_the_future(rules, world):
        yield world.now


def _is_of_the_future(rules: Rules, world: World) -> bool:
    return rules.clock(world.now).second < second(world.disk.timestamp)


def judge_git(world: World) -> Iterator[str]:
    """Tell what git's own rule misses: what `git diff-files` would call unchanged."""
    if world.disk.data is not None:
        entry = decode(world.disk.data)[F]
        is_clean = gits.is_clean(entry, world.f, second(world.disk.timestamp), trusts_ctime=True)
        if is_clean and entry.blob_id != content_id(world.f.size, world.f.variant):
            yield CLOCK_LIMIT if world.f.era > world.disk.reading.era else "missed: diff-files"


def _status_misses(rules: Rules, world: World) -> bool:
    snapshot = rules.snapshot(world.disk)
    survey = rules.survey(world.disk, snapshot.baseline, {F: world.f})
    return bool(survey.unchanged) and snapshot.index[F].blob_id != rules.true_id(world.f)


def _wrong_after_sync(ours: Ours, world: World) -> str:
    """Return which store is wrong about F after an undisturbed sync, if any."""
    true_id = ours.rules.true_id(world.f)
    run = ours.undisturbed(world)
    outcome = ours.rules.outcome(world.disk, world.database, run, world.g, is_partial=False)
    after = ours._after(world, outcome, run)
    if ours.rules.snapshot(after.disk).index[F].blob_id != true_id:
        return "index"
    ids = [row.blob_id for row in after.database.rows if row.path == F]
    if ids != [true_id]:
        return "database"
    return ""


def _kind_of_miss(rules: Rules, world: World, who: str, now: int | None) -> str:
    """Tell a limit from a miss, by what no program can know.

    A clock that was set back hides an edit only if it moved on past the index's own time before anyone looked: status
    has no time of its own to compare with, a sync has.
    """
    snapshot = rules.snapshot(world.disk)
    entry = snapshot.index[F]
    was_reset = world.f.era > world.disk.reading.era
    moved_on = change_time(entry.stat, rules.trust)[0] < second(world.disk.reading.stored)
    still_behind = now is not None and rules.clock(now).second < snapshot.baseline.timestamp_s
    if was_reset and moved_on and not still_behind:
        return CLOCK_LIMIT
    if world.f.is_forged and world.f.size == world.disk.reading.size and not rules.trust.ctime:
        return MTIME_LIMIT
    return f"missed: {who}"
