"""Mirrors: local copies of logs of another installation, with its commits' numbers, hashes and times.

Needs no Django and no HTTP: a `LogSource` asks the other installation.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Protocol

from store.copies import (
    CopyMalformed,
    CopyProgress,
    LogState,
    LogStates,
    MirrorInUse,
    NotAMirror,
    OriginRestored,
    decode_states,
)
from store.csv.files.disk import Disk, unavailable_on_error
from store.csv.files.file_names import MIRROR_FILE
from store.csv.log.commit_log import has_commits
from store.csv.store import CsvStore
from store.datasets import DATASETS, DECLARED_INSTRUMENTS, STORED_DATASETS
from store.exceptions import StorageError
from store.log import Log
from store.protocol import NO_COMMIT, CommitId
from store.symbols import folder_name, parse_symbol
from store.timestamps import InvalidTimestamp, parse_timestamp
from store.walk_lines import sent_pieces

SYMBOLS_AT_ONCE = 50
"""So many symbols a `LogSource` is asked for at once. An installation refuses more."""

WAIT_SECONDS = 25
"""So long an origin may hold a question for news."""

_LOCK_FILE = "mirror.lock"
# As often as the worker of a server makes derived files.
_FOLD_SECONDS = 2.0
# Of more symbols than that, each question is held only so long, because the others wait meanwhile.
_SHARED_WAIT_SECONDS = 1
_DISCARDED = ".discarded"
_DECLARED = DECLARED_INSTRUMENTS[0].name, DECLARED_INSTRUMENTS[1]


class LogSource(Protocol):
    """Another installation. Both methods may raise errors of their own."""

    def states(self, symbols: Sequence[str], *, seen: str, wait_seconds: int) -> bytes:
        """Return the document of `LogStates`; if it is the one that was `seen`, wait for another one.

        symbols: at most `SYMBOLS_AT_ONCE`.
        """

    def copy(self, dataset: str, symbol: str, after: CommitId) -> AbstractContextManager[Iterable[bytes]]:
        """Return the next commits, as the bytes of `store.walk_lines`. Raises `OriginRestored` if the log lacks `after`."""


class Mirror:
    """The mirror in a folder. Only one object of one process may use a folder at a time."""

    def __init__(self, folder: Path, origin: str, *, disk: Disk | None = None) -> None:
        """origin: the URL of the other installation, for people."""
        self._folder, self._origin = folder, origin
        self._disk = disk or Disk()
        self._store = CsvStore(folder, disk=self._disk, is_mirror=True)
        self._folded: dict[tuple[str, str], tuple[CommitId, float]] = {}
        self._seen: dict[tuple[str, ...], str] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder. Raises `NotAMirror`, `MirrorInUse`, `StoreUnavailable`."""
        with unavailable_on_error:
            if self._folder.exists() and not self._folder.is_dir():
                raise NotAMirror(f"{self._folder} is not a folder")
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(descriptor)
            with unavailable_on_error:
                self._claim()
            yield
        finally:
            os.close(descriptor)

    def update(
        self,
        source: LogSource,
        symbols: Sequence[str],
        *,
        anew: bool = False,
        wait_seconds: int = 0,
        on_progress: Callable[[CopyProgress], object] = lambda _: None,
    ) -> list[CopyProgress]:
        """Copy what is new of these symbols and all declarations; return how far each log is copied.

        anew: discard the copy of a log that was restored, and copy it from the beginning. wait_seconds: if nothing is
        new since the last update, wait so long for something. on_progress: called after each answer. Raises
        `InvalidSymbol`, `CopyMalformed`, `StoreUnavailable`, `DataDamaged`, and the errors of the source; what was copied
        before is kept.
        """
        symbols = list(dict.fromkeys(map(parse_symbol, symbols)))
        seen, self._seen = self._seen, {}
        states = _asked(source, symbols, seen, wait_seconds)
        logs = _logs_by_name([log for each in states.values() for log in each.logs], symbols)
        found = [self._copy(source, state, anew, on_progress) for state in logs.values()]
        found += [self._lost(name, anew) for name in self._local_logs(symbols) if name not in logs]
        self._seen = {batch: each.seen for batch, each in states.items()}
        return found

    def follow(
        self,
        source: LogSource,
        symbols: Sequence[str],
        *,
        pause_after: Callable[[int, Exception], float],
        wait_seconds: int = WAIT_SECONDS,
        once: bool = False,
        anew: bool = False,
        on_progress: Callable[[CopyProgress], object] = lambda _: None,
    ) -> Iterator[list[CopyProgress]]:
        """Copy what there is and, unless `once`, then what comes, for ever; give the logs' progress after each round.

        pause_after: takes how many failures there were in a row, and the last one; returns the seconds until the next
        attempt, or raises. wait_seconds: so long the origin holds a question. anew: in the first round only, so that an
        origin that loses its data later does not empty the mirror.
        """
        failures, wait = 0, 0
        while True:
            try:
                found = self.update(source, symbols, anew=anew, wait_seconds=wait, on_progress=on_progress)
            except Exception as error:  # noqa: BLE001 the source has errors of its own
                failures += 1
                time.sleep(pause_after(failures, error))
                wait = 0
                continue
            self.fold(found, pause=_FOLD_SECONDS if wait else 0.0)
            yield found
            if once:
                return
            failures, wait, anew = 0, wait_seconds, False

    def fold(self, found: Sequence[CopyProgress], *, pause: float = 0.0) -> None:
        """Bring derived files up to date, so that reads are fast. found: as `update` returns it.

        pause: a log that was folded within so many seconds is left out. Derived files that cannot be made are left out.
        """
        for each in found:
            name = each.dataset, each.symbol
            head, folded_at = self._folded.get(name, (NO_COMMIT, -inf))
            if each.head not in (head, NO_COMMIT) and time.monotonic() - folded_at >= pause:
                with suppress(StorageError):
                    self._store.derive(STORED_DATASETS[each.dataset], each.symbol)
                self._folded[name] = each.head, time.monotonic()

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MirrorInUse(f"another process mirrors into {self._folder}") from None

    def _claim(self) -> None:
        """Mark the folder as a mirror. Raises `NotAMirror` if it has data of its own."""
        shutil.rmtree(self._folder / _DISCARDED, ignore_errors=True)
        marker = self._folder / MIRROR_FILE
        if not marker.exists():
            if any((self._folder / name).exists() for name in STORED_DATASETS):
                raise NotAMirror(f"{self._folder} has data that no mirror wrote: choose an empty folder")
        elif (known := _mirror_of(marker)) != self._origin:
            raise NotAMirror(
                f"{self._folder} is a mirror of {known}: choose another folder, or correct {marker}"
            )
        new = marker.with_suffix(".new")
        new.write_text(json.dumps({"mirror_of": self._origin}) + "\n")
        new.replace(marker)
        self._disk.sync_folder(self._folder)

    def _copy(
        self, source: LogSource, state: LogState, anew: bool, on_progress: Callable[[CopyProgress], object]
    ) -> CopyProgress:
        name = state.dataset, state.symbol
        while True:
            progress = self._progress(state)
            head = progress.head
            if head == state.head:
                return progress
            try:
                with source.copy(*name, head) as pieces:
                    self._log(name).apply(sent_pieces(STORED_DATASETS[state.dataset], state.symbol, pieces))
            except OriginRestored:
                if not anew or not head.number:
                    return self._progress(state, _told_restored(head, state.head))
                self._discard(name)
                anew = False  # an origin that is restored again and again is told
                continue
            progress = self._progress(state)
            if progress.head == head and head.number < state.number:
                raise CopyMalformed(f"{'/'.join(name)}: commit {head.number + 1} did not come")
            on_progress(progress)
            if progress.head.number >= state.number:
                return progress

    def _progress(self, state: LogState, problem: str = "") -> CopyProgress:
        name, origin_ns = (state.dataset, state.symbol), parse_timestamp(state.committed_at)
        return CopyProgress(*name, *self._log(name).end()[:2], state.head, origin_ns, problem)

    def _lost(self, name: tuple[str, str], anew: bool) -> CopyProgress:
        if anew:
            self._discard(name)
        problem = "" if anew else "the origin has no such log any more; --anew discards the copy"
        end = self._log(name).end()
        return CopyProgress(*name, *end[:2], NO_COMMIT, end.committed_at, problem)

    def _local_logs(self, symbols: Sequence[str]) -> list[tuple[str, str]]:
        names = [_DECLARED, *((dataset, symbol) for dataset in DATASETS for symbol in symbols)]
        return [name for name in names if has_commits(self._log_folder(name))]

    def _log(self, name: tuple[str, str]) -> Log:
        return self._store.log(STORED_DATASETS[name[0]], name[1])

    def _log_folder(self, name: tuple[str, str]) -> Path:
        dataset, symbol = name
        return self._folder / dataset / folder_name(symbol)

    def _discard(self, name: tuple[str, str]) -> None:
        """Remove a log. Whoever reads its files at the moment reads on."""
        folder = self._log_folder(name)
        discarded = self._folder / _DISCARDED
        with unavailable_on_error:
            discarded.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                folder.rename(discarded / f"{len(list(discarded.iterdir()))}-{folder.name}")
                self._disk.sync_folder(folder.parent)
        shutil.rmtree(discarded, ignore_errors=True)


def _asked(
    source: LogSource, symbols: Sequence[str], seen: Mapping[tuple[str, ...], str], wait_seconds: int
) -> dict[tuple[str, ...], LogStates]:
    """Return what there is to copy, by the symbols that were asked for at once."""
    batches = [
        tuple(symbols[start : start + SYMBOLS_AT_ONCE]) for start in range(0, len(symbols), SYMBOLS_AT_ONCE)
    ]
    wait_seconds = wait_seconds if len(batches) == 1 else min(wait_seconds, _SHARED_WAIT_SECONDS)
    return {
        batch: decode_states(source.states(batch, seen=seen.get(batch, ""), wait_seconds=wait_seconds))
        for batch in batches
    }


def _logs_by_name(logs: Sequence[LogState], symbols: Sequence[str]) -> dict[tuple[str, str], LogState]:
    """Return the logs by dataset and symbol. Raises `CopyMalformed` if one was not asked for, or is no log."""
    found: dict[tuple[str, str], LogState] = {}
    for state in logs:
        name = state.dataset, state.symbol
        if name == _DECLARED and name in found:  # each answer has it
            continue
        is_asked = name == _DECLARED or (state.dataset in DATASETS and state.symbol in symbols)
        if not is_asked or name in found:
            text = f"{state.dataset}/{state.symbol}"[:100]
            raise CopyMalformed(f"the list of logs names {text!r}, which was not asked for")
        try:
            parse_timestamp(state.committed_at)
        except InvalidTimestamp:
            raise CopyMalformed(f"the list of logs has no time of {state.dataset}/{state.symbol}") from None
        if state.number:
            found[name] = state
    return found


def _mirror_of(marker: Path) -> str | None:
    try:
        return str(json.loads(marker.read_bytes())["mirror_of"])
    except (ValueError, TypeError, KeyError):
        return None


def _told_restored(head: CommitId, origin: CommitId) -> str:
    return (
        f"the origin is at commit {origin.token} and does not have {head.token}: it was restored, or this folder was"
        " written to; --anew copies from the beginning"
    )
