"""Counts what machines have done, and how long it took, so that a run can say what it reached."""

from __future__ import annotations

import functools
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis.stateful import rule

if TYPE_CHECKING:
    from collections.abc import Callable

Machine = TypeVar("Machine")

steps: Counter[str] = Counter()
"""Rules that came to their end, by name."""
seconds: defaultdict[str, float] = defaultdict(float)


def counted_rule(**strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of a method, as Hypothesis' `rule` does, whose steps are counted."""

    def decorate(method: Callable[..., None]) -> Any:
        @functools.wraps(method)
        def step(machine: Any, **values: Any) -> None:
            started_s = time.perf_counter()
            method(machine, **values)
            steps[method.__name__] += 1
            seconds[method.__name__] += time.perf_counter() - started_s

        make_rule: Any = rule
        return make_rule(**strategies)(step)

    return decorate


def summary(started_s: float) -> str:
    """Return what was done, in words."""
    total, elapsed_s = steps.total(), time.perf_counter() - started_s
    lines = [f"{total} steps in {elapsed_s:.0f} s, {total / elapsed_s:.1f} a second"]
    lines += [f"  {name}: {steps[name]}, {1000 * seconds[name] / steps[name]:.1f} ms each" for name in sorted(steps)]
    return "\n".join(lines)
