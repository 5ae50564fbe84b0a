"""Requests answered in this process, with parts of access switched off in turn.

Run as `python -m benchmarks.access_in_process ROUNDS` beside a server whose folder is in DATA_DIR and store
has the bars: prints JSON, microseconds of processor time of a request.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from statistics import median
from typing import Any, TypedDict

import django

from benchmarks.access_parts import DOOR, DRF, Environ, environ_with

_CALLS = 200
_TRIES = 5

Call = Callable[[Environ], Any]
Switch = Callable[[], AbstractContextManager[None]]


class Measured(TypedDict):
    """Microseconds by path and what was switched off, and by credential on the path through Django."""

    switched_off: dict[str, dict[str, float]]
    credentials: dict[str, float]


def main(rounds: int) -> Measured:
    """Rounds in which each variant has its turn; the median of each."""
    django.setup(set_prefix=False)
    from benchmarks.access_switches import credentials, door_switches, drf_switches, new_key  # noqa: PLC0415

    key = new_key()
    paths = {DRF: drf_switches(key), DOOR: door_switches(key)}
    whole = paths[DRF]["nothing"]
    refresh, by_key = whole[0], environ_with({"HTTP_X_API_KEY": key})
    switched = {
        path: taken_in_turn(switches, dict.fromkeys(switches, by_key), refresh, rounds=rounds)
        for path, switches in paths.items()
    }
    makers = credentials(key)
    by_credential = taken_in_turn(dict.fromkeys(makers, whole), makers, refresh, rounds=rounds)
    return Measured(switched_off=switched, credentials=by_credential)


def taken_in_turn(
    variants: Mapping[str, tuple[Call, Switch]],
    environs: Mapping[str, Callable[[], Environ]],
    refresh: Call,
    *,
    rounds: int,
) -> dict[str, float]:
    """Microseconds of processor time of a call of each, the median of rounds; each must be answered 200."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, (call, off) in variants.items():
            spent = _spent(call, off, environs[name], refresh)
            if turn:
                taken[name].append(spent / _CALLS / 1000)
    return {name: median(microseconds) for name, microseconds in taken.items()}


def _spent(call: Call, off: Switch, environ: Callable[[], Environ], refresh: Call) -> int:
    """Nanoseconds of processor time of all calls, each of which was answered 200."""
    for _ in range(_TRIES):
        requests = [environ() for _ in range(_CALLS)]
        # The door only gives what this process holds, and leaves to Django what has just lapsed.
        refresh(environ())
        with off():
            began = time.process_time_ns()
            answers = [call(request) for request in requests]
            spent = time.process_time_ns() - began
        if all(answer and getattr(answer, "status_code", 200) == 200 for answer in answers):
            return spent
    raise SystemExit("some requests were not answered")


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
