"""Follows another installation's logs into a mirror, and tells how far it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ops.outbound.exceptions import DestinationRefused, OutboundError, UnexpectedStatus
from store.copies import CopyMalformed, CopyProgress
from store.exceptions import StorageError
from store.mirroring import LogSource, Mirror
from web.durations import duration_text

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
# While a log is far behind, it is told at most so often.
_TOLD_SECONDS = 1.0
FAILURES = (OutboundError, CopyMalformed, StorageError)
"""What may go wrong while a mirror is followed. All but wrong URLs and credentials may be better later."""


@dataclass
class ProgressLines:
    """Tells each log's progress in a line, when it changes.

    say: prints a line. newest: the newest progress of each log. ended_at: when all logs were asked for last, by the
    monotonic clock; None if they never were.
    """

    say: Callable[[str], object]
    newest: dict[tuple[str, str], CopyProgress] = field(default_factory=dict)
    ended_at: float | None = None
    _missing: set[str] = field(default_factory=set)
    _said: dict[tuple[str, str], str] = field(default_factory=dict)
    _said_at: dict[tuple[str, str], float] = field(default_factory=dict)

    def on_the_way(self, progress: CopyProgress) -> None:
        """Tell the progress of a log, unless it was told a moment ago."""
        name = progress.dataset, progress.symbol
        if time.monotonic() - self._said_at.get(name, 0.0) >= _TOLD_SECONDS:
            self.tell(progress)

    def round_ended(self, symbols: Sequence[str], found: Sequence[CopyProgress]) -> None:
        """Tell what has changed of all logs, and which symbols have none."""
        for progress in found:
            self.tell(progress)
        for symbol in sorted(set(symbols) - {each.symbol for each in found} - self._missing):
            self.say(f"{symbol}: the origin has no rows")
            self._missing.add(symbol)
        self.ended_at = time.monotonic()

    def tell(self, progress: CopyProgress) -> None:
        """Tell the progress of a log if it has changed."""
        name = progress.dataset, progress.symbol
        text = progress_text(progress)
        self.newest[name] = progress
        if self._said.get(name) != text:
            self.say(text)
            self._said[name], self._said_at[name] = text, time.monotonic()

    def summary(self) -> str:
        """Return one line about all logs."""
        if self.ended_at is None:
            return f"{len(self.newest)} logs were begun, but not all were asked for"
        known = self.newest.values()
        behind = sum(each.commits_behind for each in known)
        seconds = max((each.seconds_behind for each in known), default=0.0)
        problems = sum(bool(each.problem) for each in known)
        ago = time.monotonic() - self.ended_at
        text = f"{len(known)} logs, behind by {behind:,} commits and {duration_text(seconds)}"
        text += f" at the origin's last answer, {duration_text(ago)} ago"
        return f"{text}; {problems} not copied further" if problems else text


def progress_text(progress: CopyProgress) -> str:
    """Return a log's progress in a line."""
    name = f"{progress.dataset}/{progress.symbol}: commit {progress.head.token}"
    if progress.problem:
        return f"{name}, not copied further: {progress.problem}"
    if not progress.head.number and not progress.origin_head.number:
        return f"{progress.dataset}/{progress.symbol}: removed, because the origin has no such log any more"
    if progress.is_current:
        return f"{name}, current"
    return (
        f"{name}, behind by {progress.commits_behind:,} commits and {duration_text(progress.seconds_behind)}"
    )


def printable(text: str) -> str:
    """Return a text whose control characters, which an origin may have sent, are escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def failure_text(error: Exception) -> str:
    """Return what went wrong, with the code of the origin's problem."""
    return f"{error} {error.code}".rstrip() if isinstance(error, UnexpectedStatus) else str(error)


def follow(
    mirror: Mirror,
    source: LogSource,
    symbols: Sequence[str],
    *,
    once: bool,
    anew: bool,
    lines: ProgressLines,
) -> None:
    """Copy what there is and, unless `once`, what comes, until the caller is interrupted.

    If the origin says when to come again, that is done. After other failures it is tried again after a pause; with
    `once` they are raised. A refusal is always raised.
    """

    def pause_after(failures: int, error: Exception) -> float:
        if not isinstance(error, FAILURES) or isinstance(error, UnexpectedStatus | DestinationRefused):
            raise error
        asked: float | None = getattr(error, "retry_after", None)
        if once and (asked is None or asked > _LONGEST_PAUSE_SECONDS):
            raise error
        doubled = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20), _LONGEST_PAUSE_SECONDS)
        seconds = doubled if asked is None else max(asked, _FIRST_PAUSE_SECONDS)
        lines.say(f"{failure_text(error)}; trying again after {seconds:.0f} s")
        return seconds

    rounds = mirror.follow(
        source, symbols, pause_after=pause_after, once=once, anew=anew, on_progress=lines.on_the_way
    )
    for found in rounds:
        lines.round_ended(symbols, found)
