"""The job that compares a window with a source, reports the differences, and stores them if it is told to."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.backfills.checks import Surroundings, Verdict, rows_check
from jobs.backfills.comparing import Comparison, date_pieces, rows_compare
from jobs.backfills.exceptions import NotOffered, SourceFailed
from jobs.backfills.sources.protocol import Fetched, Source, SourceRequest
from jobs.backfills.sources.registry import source_named, sources_in_order
from jobs.kinds import Run
from store.arrays import Integers
from store.datasets import DATASETS, TRADES
from store.declarations import ColumnKind, Dataset
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.protocol import Action, Correction, Fill, Window
from store.timestamps import format_timestamp, parse_timestamp
from trades.correction_batch import CorrectionBatch
from trades.exceptions import BatchRefused
from trades.services import fill_store, rows_correct
from trades.stores import market_store
from web.requests.json_fields import JsonObject

KIND = "reconciliation"
DIFFERENCES_SHOWN = 1_000
_REFUSALS_SHOWN = 100
_CORRECTIONS_AT_ONCE = 10_000
_COUNTS = (
    "rows_here", "rows_there", "missing", "extra", "different", "unconfirmed", "appended", "cancelled", "corrected",
    "not_stored", "dates_not_compared",
)  # fmt: skip


def reconcile(run: Run) -> JsonObject:
    """Compare a window with a source, date by date: the function of the kind `reconciliation`.

    Returns counts of rows and differences, the first differences, the dates that the source does not offer, and what
    could not be stored.
    """
    task = ReconciliationTask.of(run.parameters)
    empty = {"source": task.source.name, "differences": [], "not_compared": [], "refusals": []}
    note = run.note or {"dates": 0, "is_counted": False, "report": {**empty, **dict.fromkeys(_COUNTS, 0)}}
    report, pieces = note["report"], date_pieces(task.window)
    for number in range(note["dates"], len(pieces)):
        run.progress(number, len(pieces))
        found = task.compare(pieces[number])
        if not note["is_counted"]:
            _count(report, task.dataset, found)
        if isinstance(found, PieceFound) and task.stores:
            # A later attempt finds fewer differences here, and must not count them again.
            run.leave({"dates": number, "is_counted": True, "report": report})
            _DifferenceStore(run, task, report, found).store()
        note = {"dates": number + 1, "is_counted": False, "report": report}
        run.leave(note)
    run.progress(len(pieces), len(pieces))
    return dict(report)


@dataclass(frozen=True, slots=True)
class PieceFound:
    """What was found on one date: our rows, the source's, and their differences."""

    window: Window
    ours: pa.Table
    theirs: pa.Table
    fetched: Fetched
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A date of which the source has nothing to say."""

    window: Window
    reason: str


@dataclass(frozen=True, slots=True)
class ReconciliationTask:
    """What a job shall compare. stores: whether the differences are stored."""

    dataset: Dataset
    instrument: Instrument
    window: Window
    source: Source
    stores: bool

    @classmethod
    def of(cls, parameters: JsonObject) -> "ReconciliationTask":
        """Return the task of a job's parameters. Raises `NotOffered` if no source is configured for it."""
        dataset = DATASETS[parameters["dataset"]]
        instrument = market_store().instrument(parameters["symbol"])
        window = Window(parse_timestamp(parameters["start"]), parse_timestamp(parameters["end"]))
        request = SourceRequest(dataset, instrument, window)
        named = (
            [source_named(parameters["source"])]
            if "source" in parameters
            else sources_in_order(instrument.exchange)
        )
        source = next((each for each in named if each.offers(request)), None)
        if source is None:
            name = parameters.get("source", "the sources")
            raise NotOffered(name, f"{name}: not configured to give {dataset.name} of {instrument.symbol}")
        return cls(dataset, instrument, window, source, parameters["store"])

    def compare(self, window: Window) -> PieceFound | NotCompared:
        """Compare the rows of one date. Raises `SourceFailed` if the source cannot be asked now or gives wrong rows."""
        try:
            fetched = self.source.fetch(SourceRequest(self.dataset, self.instrument, window))
        except NotOffered as error:
            return NotCompared(window, str(error))
        except SourceFailed as error:
            raise SourceFailed(error.source, f"{error.source}: {error}", error.retry_after) from error
        around = Surroundings(allows_nonpositive=self.instrument.allow_nonpositive_price)
        checked = rows_check(fetched.rows, self.dataset, window, around)
        if checked.verdict is not Verdict.ACCEPTED or checked.rows is None:
            raise SourceFailed(self.source.name, f"{self.source.name}: {checked.reason}")
        theirs = pa.Table.from_batches([checked.rows])
        ours = self._ours(window)
        return PieceFound(
            window, ours, theirs, fetched, rows_compare(self.dataset, ours, theirs, fetched.answered)
        )

    def _ours(self, window: Window) -> pa.Table:
        try:
            return market_store().log(self.dataset, self.instrument.symbol).at().rows(window)
        except UnknownSymbol:
            return self.dataset.schema.empty_table()


def _count(report: JsonObject, dataset: Dataset, found: PieceFound | NotCompared) -> None:
    """Add what was found on a date to the report."""
    if isinstance(found, NotCompared):
        times = {
            "start": format_timestamp(found.window.start_ns),
            "end": format_timestamp(found.window.end_ns),
        }
        report["dates_not_compared"] += 1
        if len(report["not_compared"]) < _REFUSALS_SHOWN:
            report["not_compared"].append({**times, "reason": found.reason})
        return
    comparison = found.comparison
    report["rows_here"] += found.ours.num_rows
    report["rows_there"] += found.theirs.num_rows
    report["missing"] += len(comparison.missing)
    report["extra"] += len(comparison.extra)
    report["different"] += len(comparison.different)
    report["unconfirmed"] += comparison.unconfirmed
    room = DIFFERENCES_SHOWN - len(report["differences"])
    report["differences"] += [
        each for _, each in zip(range(room), _differences(dataset, found), strict=False)
    ]


def _differences(dataset: Dataset, found: PieceFound) -> Iterator[JsonObject]:
    """Yield the differences of a date as documents: different rows, then missing ones, then extra ones."""
    for here, there, columns in found.comparison.different:
        ours, theirs = _row(dataset, found.ours, here), _row(dataset, found.theirs, there)
        ids = {name: ours[name] for name in dataset.id_columns if name in ours}
        yield {
            "kind": "different",
            "timestamp": ours["timestamp"],
            **ids,
            "here": {name: ours.get(name) for name in columns},
            "there": {name: theirs.get(name) for name in columns},
        }
    sides = (
        ("missing", "there", found.theirs, found.comparison.missing),
        ("extra", "here", found.ours, found.comparison.extra),
    )
    for kind, side, table, numbers in sides:
        for number in numbers.tolist():
            row = _row(dataset, table, number)
            ids = {name: row[name] for name in dataset.id_columns if name in row}
            yield {"kind": kind, "timestamp": row["timestamp"], **ids, "here": None, "there": None, side: row}


def _row(dataset: Dataset, table: pa.Table, number: int) -> dict[str, Any]:
    """Return a row's values as JSON values, without nulls."""
    (row,) = table.slice(number, 1).to_pylist()
    times = {column.name for column in dataset.columns if column.kind is ColumnKind.TIME}
    return {
        name: format_timestamp(value) if name in times else value
        for name, value in row.items()
        if value is not None
    }


class _DifferenceStore:
    """Stores the differences of one date, and reports what was stored."""

    def __init__(self, run: Run, task: ReconciliationTask, report: JsonObject, found: PieceFound) -> None:
        self._run = run
        self._task = task
        self._report = report
        self._found = found
        self._symbol = task.instrument.symbol

    def store(self) -> None:
        """Cancel and correct rows, then append the missing ones: a cancel must not meet a new row that is like its own."""
        corrections = list(self._corrections())
        for first in range(0, len(corrections), _CORRECTIONS_AT_ONCE):
            self._correct(corrections[first : first + _CORRECTIONS_AT_ONCE])
        self._append()

    def _corrections(self) -> Iterator[Correction]:
        comparison, ours, theirs = self._found.comparison, self._found.ours, self._found.theirs
        if self._task.dataset is not TRADES:
            for number in [*comparison.extra.tolist(), *(here for here, _, _ in comparison.different)]:
                self._refuse(ours.column(0)[number].as_py(), "only trades can be corrected")
            return
        for number in comparison.extra.tolist():
            yield _correction(ours, number, Action.CANCEL)
        for here, there, columns in comparison.different:
            if "timestamp" in columns:
                self._refuse(ours.column(0)[here].as_py(), "an event time cannot be corrected")
            else:
                new = {name: theirs.column(name)[there].as_py() for name in columns}
                yield _correction(ours, here, Action.CORRECT, new)

    def _correct(self, corrections: Sequence[Correction]) -> None:
        """Apply corrections without those that the store refuses."""
        while corrections:
            key = self._key("correct", repr(corrections).encode())
            batch = CorrectionBatch(self._symbol, tuple(corrections))
            try:
                rows_correct(dataset=self._task.dataset, batch=batch, caller=KIND, request_key=key)
                break
            except BatchRefused as error:
                if not error.rows:
                    raise
                wrong = {*error.rows}
                for number in wrong:
                    self._refuse(corrections[number].timestamp_ns, str(error))
                corrections = [each for number, each in enumerate(corrections) if number not in wrong]
        for each in corrections:
            self._report["cancelled" if each.action is Action.CANCEL else "corrected"] += 1

    def _append(self) -> None:
        """Append the missing rows: as fills, because other batches would cancel the rows of fills between theirs."""
        missing, again = self._found.comparison.missing, self._found.comparison.again
        rows: Integers = np.sort(np.concatenate([missing, again]))
        times: Integers = self._found.theirs.column(0).to_numpy()[rows]
        edges = [edge for part in self._found.fetched.answered for edge in (part.start_ns, part.end_ns)]
        # Of what lies between two parts that the source has answered, nothing is known.
        parts = np.searchsorted(np.array(edges, dtype=np.int64), times, side="right")
        for part in np.unique(parts).tolist():
            self._fill(
                rows[parts == part], times[parts == part], int(np.isin(missing, rows[parts == part]).sum())
            )

    def _fill(self, rows: Integers, times: Integers, missing: int) -> None:
        window = Window(int(times[0]), int(times[-1]) + 1)
        asked = (
            f"{format_timestamp(self._found.window.start_ns)}/{format_timestamp(self._found.window.end_ns)}"
        )
        dataset, fetched = self._task.dataset, self._found.fetched
        batch = self._found.theirs.take(rows).combine_chunks().to_batches()[0]
        receipt = fill_store(
            dataset=dataset,
            symbol=self._symbol,
            rows=batch,
            fill=Fill(window, fetched.source, f"{dataset.name} {asked}", fetched.commit),
            caller=KIND,
            request_key=self._key(f"append-{window.start_ns}", batch.serialize()),
        )
        self._report["appended"] += receipt.stored
        for _ in range(missing - receipt.stored):
            self._refuse(window.start_ns, "was cancelled here, or its id is another row's")

    def _refuse(self, instant_ns: int, reason: str) -> None:
        """Report a difference that was not stored."""
        self._report["not_stored"] += 1
        if len(self._report["refusals"]) < _REFUSALS_SHOWN:
            self._report["refusals"].append({"timestamp": format_timestamp(instant_ns), "reason": reason})

    def _key(self, piece: str, content: bytes | pa.Buffer) -> str:
        """Return the request key of a write. A later attempt finds other differences, so the key names the content."""
        digest = hashlib.sha256(content).hexdigest()[:32]
        return self._run.request_key(f"{self._found.window.start_ns}-{piece}-{digest}")


def _correction(
    rows: pa.Table, number: int, action: Action, new: dict[str, object] | None = None
) -> Correction:
    """Return a correction of our row, named by all values that a correction can name."""
    (row,) = (
        rows.select(["timestamp", "trade_id", "exchange", "price", "volume"]).slice(number, 1).to_pylist()
    )
    return Correction(action, row.pop("timestamp"), row, new or {})
