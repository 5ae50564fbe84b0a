"""The random processes behind the sample: when prints happen, what they cost, how large they are.

Prints follow a Hawkes process in its cluster representation (Hawkes & Oakes, 1974). Prices are one long
random walk, a function of (seed, symbol) alone, with a Brownian bridge between its levels inside a day.
"""

import datetime as dt
import hashlib
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from store.arrays import Floats, Integers, Mask
from store.timestamps import SECOND_NS

BLOCK_DAYS: Final = 2048
STEPS_PER_DAY: Final = 8
LEVELS_AT: Final = (0, 1, 6, 7)
STEP_DEVIATION: Final = 0.005
KNOT_DEVIATION: Final = 0.3
CHILDREN_PER_PRINT: Final = 0.7
SWIFT_SHARE: Final = 0.6
SWIFT_SECONDS: Final = 0.02
SLOW_SECONDS: Final = 60.0
ECHO_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a day with one character.

    [begins, ends) in ns; `density` of activity on an even grid, of any scale; `prints` are expected in all;
    `levels` are the log prices at both ends, `steps` steps of the walk apart.
    """

    begins: int
    ends: int
    density: Floats
    prints: float
    levels: tuple[float, ...]
    steps: int

    @property
    def grid(self) -> Floats:
        """Seconds since the beginning at which `density` is given."""
        return np.linspace(0.0, (self.ends - self.begins) / SECOND_NS, len(self.density))

    @property
    def activity(self) -> Floats:
        """The share of the whole activity that is over at each point of the grid: from 0 to 1."""
        areas = np.concatenate(([0.0], np.cumsum((self.density[1:] + self.density[:-1]) / 2)))
        return np.asarray(areas / areas[-1], dtype=np.float64)


def generator(*parts: object) -> np.random.Generator:
    """Return the generator of these parts: equal in every process, unlike what Python's `hash` would seed."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def levels_of(seed: int, symbol: str, day: dt.date) -> tuple[float, ...]:
    """Log prices at the pre-market's start, the open, the close and the after-hours' end of `day`.

    A block of weekdays is one Brownian bridge between two knots, which depend on (seed, symbol) and their own
    number only; so no day needs the one before, and the price never wanders off for good.
    """
    week, weekday = divmod(day.toordinal() - 1, 7)
    block, place = divmod(week * 5 + min(weekday, 4), BLOCK_DAYS)
    base = math.log(40.0) + generator(seed, symbol, "base").uniform(0.0, math.log(6.0))
    start, end = (
        base + generator(seed, symbol, "knot", number).normal(0.0, KNOT_DEVIATION)
        for number in (block, block + 1)
    )
    count = BLOCK_DAYS * STEPS_PER_DAY
    steps = generator(seed, symbol, "walk", block).normal(0.0, STEP_DEVIATION, count)
    drift = (end - start - steps.sum()) / count
    walk = start + np.concatenate(([0.0], np.cumsum(steps + drift)))
    return tuple(float(walk[place * STEPS_PER_DAY + at]) for at in LEVELS_AT)


def arrivals(rng: np.random.Generator, phase: Phase) -> tuple[Floats, Integers, Mask]:
    """Seconds since the phase's start, the cluster, and whether a print follows its parent at once.

    A print has a Poisson number of children: some at once (one order taken apart, part of it at the very
    same moment), the others within minutes (attention). Ascending.
    """
    immigrants = int(rng.poisson(phase.prints * (1 - CHILDREN_PER_PRINT)))
    seconds = np.interp(rng.random(immigrants), phase.activity, phase.grid)
    cluster, swift = np.arange(immigrants), np.zeros(immigrants, dtype=np.bool_)
    generations = [(seconds, cluster, swift)]
    while len(seconds):
        children = rng.poisson(CHILDREN_PER_PRINT, len(seconds))
        seconds, cluster = np.repeat(seconds, children), np.repeat(cluster, children)
        swift = rng.random(len(seconds)) < SWIFT_SHARE
        delay = rng.exponential(np.where(swift, SWIFT_SECONDS, SLOW_SECONDS))
        seconds = seconds + np.where(swift & (rng.random(len(seconds)) < ECHO_SHARE), 0.0, delay)
        generations.append((seconds, cluster, swift))
    seconds, cluster, swift = (np.concatenate(column) for column in zip(*generations, strict=True))
    order = np.flatnonzero(seconds < phase.grid[-1])
    order = order[np.argsort(seconds[order], kind="stable")]
    return seconds[order], cluster[order], swift[order]


def bridge(rng: np.random.Generator, phase: Phase, seconds: Floats) -> Floats:
    """Draw log prices at the ascending `seconds`, from the phase's first level to its last.

    They move as much as there is activity.
    """
    start, end = phase.levels
    elapsed = np.interp(seconds, phase.grid, phase.activity)
    gaps = np.diff(elapsed, prepend=0.0, append=1.0)
    walk = np.cumsum(rng.normal(0.0, STEP_DEVIATION * phase.steps**0.5, len(gaps)) * np.sqrt(gaps))
    return np.asarray(start + walk[:-1] + elapsed * (end - start - walk[-1]), dtype=np.float64)


def sizes(rng: np.random.Generator, count: int) -> Integers:
    """Shares per print: mostly 100, many odd lots, few larger round or mixed lots, a handful of blocks."""
    kind = rng.choice(5, count, p=(0.36, 0.43, 0.1, 0.109, 0.001))
    odd = np.ceil(99 * rng.random(count) ** 2.5)
    round_lot = 100 * rng.integers(3, 11, count)
    block = 100 * rng.integers(100, 500, count)
    mixed = np.where(rng.random(count) < 0.5, round_lot, rng.integers(101, 1_000, count))
    columns = (odd, np.full(count, 100), np.full(count, 200), mixed, block)
    return np.asarray(np.choose(kind, columns), dtype=np.int64)
