"""Keeps the derived files of all logs current, in the background."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trades.storage.exceptions import StorageError

# A log rests this long after a fold, and as long as the fold took: a feed in full flood leaves half of a processor.
_REST_SECONDS = 2.0
_RETRY_SECONDS = 60.0

logger = logging.getLogger(__name__)

# Dataset, symbol, the file of its commits, and the policy of its bars.
Log = tuple[str, str, Path, str]
_State = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class _Folded:
    """The state that a log was folded in, and when it may be folded again."""

    state: _State
    rests_until: float


class Keeper:
    """Finds the logs that have grown since they were folded, and folds them, the longest rested first."""

    def __init__(
        self,
        logs: Callable[[], Iterable[Log]],
        fold: Callable[[str, str], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`logs` lists all logs of the store; `fold` folds the log of a dataset and a symbol."""
        self._logs = logs
        self._fold = fold
        self._clock = clock
        self._folded: dict[tuple[str, str], _Folded] = {}

    def round(self, *, seconds: float) -> int:
        """Fold for about so many seconds, at least one log if any has grown; how many were folded."""
        ends = self._clock() + seconds
        count = 0
        for key, state in self._due():
            self._fold_one(key, state)
            count += 1
            if self._clock() >= ends:
                break
        return count

    def _due(self) -> list[tuple[tuple[str, str], _State]]:
        now = self._clock()
        due = []
        for dataset, symbol, path, policy in self._logs():
            key, state = (dataset, symbol), _state(path, policy)
            folded = self._folded.get(key)
            if folded is None or (folded.state != state and folded.rests_until <= now):
                due.append((folded.rests_until if folded else 0.0, key, state))
        return [(key, state) for _, key, state in sorted(due, key=lambda each: each[0])]

    def _fold_one(self, key: tuple[str, str], state: _State) -> None:
        began = self._clock()
        rest = _REST_SECONDS
        try:
            self._fold(*key)
        except (StorageError, OSError) as error:
            logger.warning("the derived files of %s/%s are not kept: %s", *key, error)
            rest = _RETRY_SECONDS
        ended = self._clock()
        self._folded[key] = _Folded(state, ended + max(rest, ended - began))


def _state(path: Path, policy: str) -> _State:
    try:
        found = os.stat(path)  # noqa: PTH116 of every log, once a second
    except OSError:
        return (0, 0, 0, policy)
    return found.st_ino, found.st_size, found.st_mtime_ns, policy
