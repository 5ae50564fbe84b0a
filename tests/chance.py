"""How much is tried, and what decides all that tests leave to chance."""

import os
import time
from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

SOAK = bool(os.environ.get("SOAK"))
# Usual runs try the same each time, so that whoever changes something knows its effect; SOAK tries others.
_USUAL = 77
# The processes of one run have one seed: those of xdist inherit the variable.
os.environ["SEED"] = os.environ.get("SEED") or str(time.time_ns() % 2**32 if SOAK else _USUAL)


def chosen_seed() -> int:
    """SEED. By default the same in each run, another one in each with SOAK=1. It is shown at the end of a run."""
    return int(os.environ["SEED"])


def examples(count: int) -> int:
    """How many examples are tried: `count` with SOAK=1, otherwise a tenth of them, but not under 10."""
    return count if SOAK else max(count // 10, min(count, 10))


def each_of(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """All combinations of the axes' values with SOAK=1; otherwise as few as have each value of each axis."""
    values = [list(axis) for axis in axes]
    if SOAK:
        return list(product(*values))
    most = max(map(len, values))
    return [tuple(axis[place % len(axis)] for axis in values) for place in range(most)]


def cases_of(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """All combinations of the axes' values with SOAK=1; otherwise few, with each pair of values of two axes."""
    values = [list(axis) for axis in axes]
    places = list(product(*(range(len(axis)) for axis in values)))
    chosen = places if SOAK else _with_each_pair(places)
    return [tuple(axis[place] for axis, place in zip(values, case, strict=True)) for case in chosen]


def _with_each_pair(cases: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """A part of the cases that has each pair of values of two axes that the whole has; in the order of the whole."""
    pairs = {case: {(i, j, case[i], case[j]) for i, j in combinations(range(len(case)), 2)} for case in cases}
    missing = set[tuple[int, ...]]().union(*pairs.values())
    chosen = set()
    while missing:
        best = max(cases, key=lambda case: len(pairs[case] & missing))
        chosen.add(best)
        missing -= pairs[best]
    return [case for case in cases if case in chosen]
