"""A store in memory, written to be simple: other stores must give the same answers."""

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from store.commit_clock import AHEAD_SECONDS, CommitClock
from store.commits import Facts, chained, digest_of, encode_facts
from store.datasets import DECLARED_INSTRUMENTS
from store.declarations import Dataset
from store.exceptions import CommitConflict, UnknownSymbol
from store.market_store import MarketStore
from store.protocol import (
    DUPLICATE_ROWS_KEPT,
    Action,
    Amendment,
    Append,
    CommitId,
    Receipt,
)
from store.rows.corrections import changes
from store.rows.decide import BatchDecision, decide
from store.rows.stored_rows import action_name
from store.walk import CommitHook, CommitRecord, call_hooks
from tests.memory_store.log import (
    MemoryCommit,
    MemoryLog,
    MemoryRows,
    add_rows,
    apply_change,
    completeness_of,
    content_of_newest,
    date_of,
    replayed_receipt,
)
from tests.memory_store.snapshot import MemoryHandle


class MemoryStore(MarketStore):
    """A `MarketStore` for one process, without files and without optimizations."""

    def __init__(
        self, *, clock: Callable[[], int] = time.time_ns, clock_ahead_seconds: int = AHEAD_SECONDS
    ) -> None:
        self.committed: list[CommitHook] = []
        self._clock = CommitClock(clock, clock_ahead_seconds)
        self.logs: dict[tuple[str, str], MemoryLog] = defaultdict(MemoryLog)
        self.mutex = threading.Lock()
        self._token = secrets.token_hex(8)

    def prepare_rows(self, batch: Append) -> Callable[[], Receipt]:
        return partial(self._append_rows, batch)

    def _append_rows(self, batch: Append) -> Receipt:
        with self.mutex:
            receipt = self._append(batch)
        return call_hooks(self.committed, batch, receipt)

    def correct(self, amendment: Amendment) -> Receipt:
        with self.mutex:
            receipt = self._correct(amendment)
        return call_hooks(self.committed, amendment, receipt)

    def log(self, dataset: Dataset, symbol: str) -> MemoryHandle:
        return MemoryHandle(self, dataset, symbol)

    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        """See `MarketStore.heads`. A token is the newest commit."""
        names = self.symbols(dataset) if symbols is None else symbols
        logs = self._logs_with_commits()
        return {name: self.existing(dataset, name).head for name in names if (dataset.name, name) in logs}

    def change_stamp(self, logs: Iterable[tuple[Dataset, str]]) -> Callable[[], Hashable]:
        """See `MarketStore.change_stamp`."""
        keys = [(dataset.name, symbol) for dataset, symbol in (DECLARED_INSTRUMENTS, *logs)]

        def stamp() -> Hashable:
            with self.mutex:
                return tuple(self.logs[key].head if key in self.logs else None for key in keys)

        return stamp

    def catalogue_stamp(self) -> Hashable:
        """See `MarketStore.catalogue_stamp`."""
        return self._token, self.change_stamp(())(), len(self._logs_with_commits())

    def symbols(self, dataset: Dataset) -> list[str]:
        return sorted(symbol for name, symbol in self._logs_with_commits() if name == dataset.name)

    def _append(self, batch: Append) -> Receipt:
        log, rows = self.logs[batch.dataset.name, batch.symbol], batch.rows.to_pylist()
        if batch.after not in {None, log.head}:
            raise CommitConflict
        replayed = replayed_receipt(log, batch)
        if replayed is not None:
            return replayed
        log.expired.check_new(batch)
        decision = decide(batch, MemoryRows(batch.dataset, log))
        declared_ns = batch.complete_until_ns
        advances = (
            declared_ns is not None and declared_ns > completeness_of(log, len(log.commits)).complete_until_ns
        )
        is_fact = (
            batch.request_key is not None or batch.fill is not None or batch.expiry is not None or advances
        )
        if not decision.is_new.any() and decision.corrections is None and not is_fact:
            return Receipt(len(rows), 0, decision.duplicates[:DUPLICATE_ROWS_KEPT], log.head)
        new = sorted((row for row, is_new in zip(rows, decision.is_new, strict=True) if is_new), key=date_of)
        lines = [] if decision.corrections is None else decision.corrections.to_pylist()
        self._begin(
            log, batch, len(rows), decision.duplicates, decision=decision, counts=(len(new), len(lines))
        )
        add_rows(log, new)
        for row in lines:
            apply_change(
                log, row.pop("arrival"), Action(row.pop(action_name(batch.dataset.schema.names))), row
            )
        return self._chained(batch.dataset, log)

    def _correct(self, amendment: Amendment) -> Receipt:
        log, corrections = self.existing(amendment.dataset, amendment.symbol), amendment.corrections
        replayed = replayed_receipt(log, amendment)
        if replayed is not None:
            return replayed
        log.expired.check_new(amendment)
        versions = MemoryRows(amendment.dataset, log).versions(amendment.times)
        applied_corrections = sorted(changes(amendment, versions), key=lambda each: date_of(each.row))
        applied = {correction.index for correction in applied_corrections}
        duplicates = [index for index in range(len(corrections)) if index not in applied]
        if not applied_corrections and amendment.request_key is None:
            return Receipt(len(corrections), 0, tuple(duplicates[:DUPLICATE_ROWS_KEPT]), log.head)
        counts = (0, len(applied_corrections))
        self._begin(log, amendment, len(corrections), tuple(duplicates), decision=None, counts=counts)
        for correction in applied_corrections:
            apply_change(log, correction.arrival, correction.action, correction.row)
        return self._chained(amendment.dataset, log)

    def _logs_with_commits(self) -> set[tuple[str, str]]:
        """Return (dataset's name, symbol) of the logs with commits."""
        return {key for key, log in list(self.logs.items()) if log.commits}

    def existing(self, dataset: Dataset, symbol: str) -> MemoryLog:
        """Return a log. Raises `UnknownSymbol` if it has no commit."""
        log = self.logs.get((dataset.name, symbol))
        if log is None or not log.commits:
            raise UnknownSymbol(symbol)
        return log

    def _begin(
        self,
        log: MemoryLog,
        request: Append | Amendment,
        received: int,
        duplicates: tuple[int, ...],
        *,
        decision: BatchDecision | None,
        counts: tuple[int, int],
    ) -> None:
        """Add a commit without its rows. `_chained` gives it its content and hash. counts: of rows and corrections."""
        said = (request.complete_until_ns, request.fill) if isinstance(request, Append) else (None, None)
        facts = Facts(
            number=len(log.commits) + 1,
            committed_at=self._clock.next_time(
                f"{request.dataset.name}/{request.symbol}", log.commits[-1].committed_at if log.commits else 0
            ),
            caller=request.caller,
            digest=digest_of(request),
            received=received,
            rows=counts[0],
            corrections=counts[1],
            duplicate_rows=duplicates[:DUPLICATE_ROWS_KEPT],
            key_hash=request.key_hash,
            complete_until_ns=said[0],
            fill=said[1],
            superseded=() if decision is None else decision.superseded,
            replaced=0 if decision is None else decision.replaced,
            expiry=request.expiry if isinstance(request, Append) else None,
        )
        log.commits.append(MemoryCommit(CommitRecord(CommitId(facts.number, ""), facts), set()))

    def _chained(self, dataset: Dataset, log: MemoryLog) -> Receipt:
        """Complete the newest commit."""
        begun = log.commits.pop()
        previous = log.head
        log.commits.append(begun)
        facts = msgspec.structs.replace(begun.facts, content=content_of_newest(dataset, log))
        commit_id = CommitId(facts.number, chained(previous.hash, encode_facts(facts)))
        log.commits[-1] = replace(begun, record=CommitRecord(commit_id, facts))
        return facts.receipt(commit_id.hash)
