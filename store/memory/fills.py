"""What a batch adds to a log in memory, and which rows of fills it supersedes."""

from collections import defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass

from store.bars.prints import STANDS
from store.declarations import Dataset
from store.exceptions import IdConflict
from store.memory.log import (
    MemoryLog,
    date_of,
    duplicates_of,
    event_time,
    first_arrival,
    identified,
    row_histories,
)
from store.protocol import Action, Append, Dedupe, Superseded
from store.rows.corrections import AppliedCorrection, Row, replacing_changes
from store.rows.fills import FillMatches, ProvisionalRow, extents_of, match_fills


@dataclass(frozen=True)
class BatchLines:
    """A batch's new rows by event date, the indices of the others, and the rows of fills to cancel.

    cancelled: arrival numbers. superseded: see `Facts`. replaced: arrival numbers with the rows' new values.
    """

    rows: list[Row]
    duplicates: list[int]
    cancelled: list[int]
    superseded: tuple[Superseded, ...]
    replaced: tuple[tuple[int, Row], ...] = ()


def new_lines(batch: Append, rows: list[Row], log: MemoryLog) -> BatchLines:
    """Return what a batch adds. Raises `IdConflict`."""
    superseded = _superseded(log)
    if batch.fill is not None:
        return _new_lines(rows, _duplicates_of_fill(batch, rows, log, superseded))
    provisional = _provisional(batch.dataset, log) - superseded
    replaced: list[AppliedCorrection] = []
    if batch.replaces:
        replaced, duplicates = _replacements(batch, rows, log, superseded | provisional)
    else:
        duplicates = duplicates_of(batch, rows, log, superseded | provisional)
    if len(duplicates) == len(rows) and batch.dedupe is Dedupe.BATCH:
        return _new_lines(rows, duplicates)
    matches = FillMatches()
    if batch.dedupe is Dedupe.ROWS:
        known = {*duplicates, *(change.index for change in replaced)}
        rest = [identified(batch.dataset, n, row) for n, row in enumerate(rows) if n not in known]
        matches = match_fills(rest, _by_identity(batch.dataset, log, provisional))
    extents = extents_of(batch.dataset, batch.rows) if rows else ()
    met = {arrival for arrival in provisional if _is_between(batch.dataset, log, arrival, extents)}
    met |= matches.replaced
    others = sorted([*duplicates, *matches.duplicates])
    new = _new_lines(rows, others, [change.index for change in replaced])
    standing = [v for v in log.versions if v.until == STANDS and v.arrival in met - matches.confirmed]
    standing.sort(key=lambda version: (date_of(version.values), version.arrival))
    cancelled = [version.arrival for version in standing]
    changes = tuple(
        (change.arrival, change.row) for change in sorted(replaced, key=lambda each: date_of(each.row))
    )
    return BatchLines(new.rows, new.duplicates, cancelled, extents if met else (), changes)


def _replacements(
    batch: Append, rows: list[Row], log: MemoryLog, ignored: Collection[int]
) -> tuple[list[AppliedCorrection], list[int]]:
    """Return the corrections that a batch makes, and the indices of its duplicates."""
    identity = [identified(batch.dataset, 0, row).identity for row in rows]
    last = {each: index for index, each in enumerate(identity)}
    known: dict[int, Row] = {}
    for index in last.values():
        try:
            is_known = bool(duplicates_of(batch, [rows[index]], log, ignored))
        except IdConflict:
            is_known = True
        if is_known:
            known[index] = rows[index]
    applied, again = replacing_changes(batch.dataset, known.items(), row_histories(log))
    new = {*last.values()}.difference(known).union(again)
    changed = {change.index for change in applied}
    return applied, [index for index in range(len(rows)) if index not in new | changed]


def _new_lines(rows: list[Row], duplicates: list[int], replaced: Collection[int] = ()) -> BatchLines:
    new = (row for index, row in enumerate(rows) if index not in {*duplicates, *replaced})
    return BatchLines(sorted(new, key=date_of), duplicates, [], ())


def _duplicates_of_fill(
    batch: Append, rows: list[Row], log: MemoryLog, ignored: Collection[int]
) -> list[int]:
    """Return the indices of a fill's rows that are stored, or whose ids are."""
    try:
        return duplicates_of(batch, rows, log, ignored)
    except IdConflict as error:
        taken = error.rows
        others = [index for index in range(len(rows)) if index not in taken]
        duplicates = duplicates_of(batch, [rows[index] for index in others], log, ignored)
        return sorted([*taken, *(others[index] for index in duplicates)])


def _superseded(log: MemoryLog) -> set[int]:
    """Return the arrival numbers of the rows that batches of the feed cancelled."""
    return {
        first_arrival(log, each.target_commit) + each.target_ordinal
        for commit in log.commits
        if commit.facts.superseded
        for each in commit.corrections
        if each.action is Action.CANCEL
    }


def _provisional(dataset: Dataset, log: MemoryLog) -> set[int]:
    """Return the arrival numbers of the rows of fills that no later batch of the feed has passed over."""
    fills = {each.id.number for each in log.commits if each.facts.fill is not None}
    return {
        arrival
        for arrival, row in log.originals.items()
        if row.commit in fills
        and not any(
            _is_between(dataset, log, arrival, later.facts.superseded) for later in log.commits[row.commit :]
        )
    }


def _is_between(dataset: Dataset, log: MemoryLog, arrival: int, extents: Collection[Superseded]) -> bool:
    row = log.originals[arrival].values
    series = ";".join(str(row[name]) for name in dataset.series_columns)
    return any(each.first_ns <= event_time(row) <= each.last_ns and each.series == series for each in extents)


def _by_identity(
    dataset: Dataset, log: MemoryLog, arrivals: Collection[int]
) -> dict[Hashable, list[ProvisionalRow]]:
    found: dict[Hashable, list[ProvisionalRow]] = defaultdict(list)
    for arrival in sorted(arrivals):
        versions = [version for version in log.versions if version.arrival == arrival]
        rows = [identified(dataset, 0, version.values) for version in versions]
        known = rows if rows[0].has_id else rows[:1]
        stands = versions[-1].until == STANDS
        values = [(row.value, row.later) for row in known]
        found[rows[0].identity].append(ProvisionalRow(arrival, stands, values))
    return found
