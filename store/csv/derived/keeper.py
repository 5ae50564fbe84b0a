"""Keeps the derived files of all logs current, in the background."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from store.csv.derived.manifest import manifest_signature
from store.csv.files.disk import NEVER_SEEN, NO_FILE, FileSignature, signature_if_readable
from store.csv.log.commit_log import COMMITS_FILE
from store.csv.log.index_file import DERIVED_FOLDER
from store.exceptions import UnknownSymbol
from store.maintained import DerivedBacklog

# The minimum pause after a fold of a log. If the fold took longer, the pause is as long as the fold, so that
# folding one log takes at most half of a processor.
_REST_SECONDS = 2.0
_REST_AFTER_FAILURE_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """A log whose derived files are kept current: its folder, and the key of its bar policy."""

    dataset: str
    symbol: str
    folder: str
    policy_key: str

    @property
    def key(self) -> tuple[str, str]:
        """The dataset and the symbol."""
        return self.dataset, self.symbol

    def commits(self) -> FileSignature:
        """Return a value that changes with every commit."""
        return signature_if_readable(f"{self.folder}/{COMMITS_FILE}")

    def manifest(self) -> FileSignature:
        """Return a value that changes when the derived files are replaced or deleted."""
        return manifest_signature(f"{self.folder}/{DERIVED_FOLDER}")


@dataclass(frozen=True, slots=True)
class _FoldState:
    """The signatures of a log and its manifest at its last fold, and its policy.

    commits: `NEVER_SEEN` if the fold failed. rests_until: when it may be folded again.
    """

    commits: FileSignature
    manifest: FileSignature
    policy_key: str
    rests_until: float

    def is_due(self, log: WatchedLog, now: float) -> bool:
        """Return whether the log or its derived files have changed since the fold, and the pause is over."""
        last = self.commits, self.manifest, self.policy_key
        return self.rests_until <= now and last != (log.commits(), log.manifest(), log.policy_key)


class DerivedKeeper:
    """Folds logs that have grown (adds new commits to their derived files), in the order in which they became due."""

    def __init__(
        self,
        logs: Callable[[], Iterable[WatchedLog]],
        fold: Callable[[str, str], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it.

        logs: returns all logs of the store. fold: folds the log of a dataset and symbol. It returns None if
        another process is folding it.
        """
        self._logs = logs
        self._fold = fold
        self._clock = clock
        self._folded: dict[tuple[str, str], _FoldState] = {}
        # For each log that has grown, when this was first noticed.
        self._waiting: dict[tuple[str, str], float] = {}

    def round(self, *, seconds: float) -> int:
        """Fold logs for about `seconds`; return their number. If any has grown, at least one is folded."""
        ends = self._clock() + seconds
        count = 0
        for log in self._due():
            self._fold_one(log)
            count += 1
            if self._clock() >= ends:
                break
        return count

    def backlog(self) -> DerivedBacklog:
        """See `Upkeep.backlog`. At first all logs count as grown."""
        since = list(self._waiting.values())
        return DerivedBacklog(len(since), self._clock() - min(since)) if since else DerivedBacklog()

    def _due(self) -> list[WatchedLog]:
        now, waiting = self._clock(), {}
        due = []
        for log in self._logs():
            folded = self._folded.get(log.key)
            if folded is None and log.commits() == NO_FILE:
                continue
            if folded is None or folded.is_due(log, now):
                due.append((folded.rests_until if folded else 0.0, log))
                waiting[log.key] = self._waiting.get(log.key, now)
            elif log.key in self._waiting:  # in the pause after a failure
                waiting[log.key] = self._waiting[log.key]
        self._waiting = waiting
        return [log for _, log in sorted(due, key=lambda each: each[0])]

    def _fold_one(self, log: WatchedLog) -> None:
        commits, began, rest = log.commits(), self._clock(), _REST_SECONDS
        try:
            if self._fold(*log.key) is None:
                commits = NEVER_SEEN
        except UnknownSymbol:
            pass  # its first commit is being written, or was cut off
        except Exception as error:  # noqa: BLE001 an error in one log must not stop the others
            logger.warning(
                "the derived files of %s/%s could not be made and will be tried again: %r", *log.key, error
            )
            commits, rest = NEVER_SEEN, _REST_AFTER_FAILURE_SECONDS
        if commits != NEVER_SEEN:
            self._waiting.pop(log.key, None)
        ended = self._clock()
        rests_until = ended + max(rest, ended - began)
        self._folded[log.key] = _FoldState(commits, log.manifest(), log.policy_key, rests_until)
