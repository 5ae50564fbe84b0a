"""The values that the methods of a market store take and return."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, distinct
from store.declarations import Dataset
from store.quote_sides import prices_of_sides
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS, SECOND_NS


@dataclass(frozen=True, slots=True)
class Window:
    """Event times `[start_ns, end_ns)`, nanoseconds UTC."""

    start_ns: int
    end_ns: int

    def overlaps(self, other: Window) -> bool:
        """Return whether the two have an instant in common. Neither is empty."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns

    def whole_dates(self) -> Window:
        """Return the event dates (UTC) that the window touches, as one window."""
        return Window(self.start_ns // DAY_NS * DAY_NS, -(-self.end_ns // DAY_NS) * DAY_NS)

    def within(self, other: Window) -> Window:
        """Return the part that is in another window; an empty part lies at the nearer end of the other."""
        start_ns = min(max(self.start_ns, other.start_ns), other.end_ns)
        return Window(start_ns, max(start_ns, min(self.end_ns, other.end_ns)))

    def without(self, holes: Iterable[Window]) -> list[Window]:
        """Return the parts that are in none of the holes, ascending."""
        parts, start_ns = [], self.start_ns
        for hole in sorted(holes, key=lambda each: each.start_ns):
            inside = hole.within(self)
            if inside.start_ns >= inside.end_ns:
                continue
            if start_ns < inside.start_ns:
                parts.append(Window(start_ns, inside.start_ns))
            start_ns = max(start_ns, inside.end_ns)
        return [*parts, Window(start_ns, self.end_ns)] if start_ns < self.end_ns else parts


# A sender's clock may be ahead of ours by this much.
CLOCKS_APART_NS = 60 * SECOND_NS
ALL_TIME = Window(EARLIEST_NS, LATEST_NS + 1)


@dataclass(frozen=True, slots=True)
class Completeness:
    """How far a log is known to be complete, nanoseconds UTC. Both are `ALL_TIME.start_ns` for nothing.

    newest_ns: the largest event time of all rows ever stored, also of cancelled ones; a row that is dated after its
    commit's time counts as one of that time. complete_until_ns: the largest instant up to which the feed declared to
    have sent everything.
    """

    newest_ns: int
    complete_until_ns: int

    def joined(self, newest_ns: int, complete_until_ns: int) -> Completeness:
        """Return the completeness after a commit with this largest event time and this declaration."""
        return Completeness(max(self.newest_ns, newest_ns), max(self.complete_until_ns, complete_until_ns))


NOTHING_COMPLETE = Completeness(ALL_TIME.start_ns, ALL_TIME.start_ns)


@dataclass(frozen=True, slots=True)
class CommitId:
    """A commit of one log: its number from 1, and its hash. If a restored log reuses a number, the hash differs."""

    number: int
    hash: str

    @property
    def token(self) -> str:
        """The commit in the form that clients see, such as `17-9f3a2c`."""
        return f"{self.number}-{self.hash[:6]}"


NO_COMMIT = CommitId(0, "0" * 64)


class Dedupe(StrEnum):
    """How duplicates are recognised.

    rows: a row is recognised by its id or, without an id, by all its columns; equal rows are counted. none: nothing is
    recognised.
    """

    ROWS = "rows"
    NONE = "none"


def hash_of_key(request_key: str) -> str:
    """Return the SHA-256 of an idempotency key, in hex. The key may be a secret, so it is not stored."""
    return hashlib.sha256(request_key.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Fill:
    """What a backfill's batch answers: a window for which a secondary source was asked.

    source: its name. request: a short text of what was asked. source_commit: the source's commit token, or "".
    """

    window: Window
    source: str
    request: str = ""
    source_commit: str = ""

    def __post_init__(self) -> None:
        if self.window.start_ns >= self.window.end_ns or not self.source:
            raise ValueError("a fill needs a source, and a window that is not empty")


@dataclass(frozen=True, slots=True)
class Superseded:
    """The event times, both inclusive, from a feed's first row to its last row in a batch that replaced rows of fills.

    The commit cancelled the rows of earlier fills between them. series: the rows' values of the dataset's
    `series_columns`, joined by ";"; only rows of the same series meet.
    """

    first_ns: int
    last_ns: int
    series: str = ""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Event dates whose rows nobody reads any more: their record in the log.

    window: whole event dates. All dates before its end are expired with it. kept: the commit of the symbol's log of kept
    bars that has the bars of these dates; 0 if no bars are made of the rows. is_removed: the rows may be deleted now.
    """

    window: Window
    kept: int = 0
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """A batch of rows for one log.

    rows: a record batch in the dataset's schema, in order of arrival, with at least one row unless there is a
    `complete_until_ns` or a `fill`; a side of a quote with price 0 and size 0 gets a null price. caller: the sender,
    stored in the commit. request_key: the sender's idempotency key, or None; only its hash is stored. complete_until_ns: the sender declares that it has sent all rows with event
    times before this instant (nanoseconds UTC); None declares nothing. A declaration that is later than all
    before makes a commit, also without new rows. fill: the rows are those that a secondary source has in the
    fill's window; None for the feed's own rows. A fill always makes a commit: without new rows it is the
    evidence that the source has no others. replaces: the rows stand afterwards, whatever is stored with their
    identity: a stored row with other values is corrected to the batch's, one that was cancelled is stored anew. Of
    several rows with one identity the last counts; the others are duplicates. after: the log's newest commit, on which
    the batch depends; if there is a newer one, the batch is refused with `CommitConflict`. expiry: the batch has no
    rows, and declares dates expired.
    """

    dataset: Dataset
    symbol: str
    rows: pa.RecordBatch
    caller: str
    dedupe: Dedupe = Dedupe.ROWS
    request_key: str | None = None
    complete_until_ns: int | None = None
    fill: Fill | None = None
    replaces: bool = False
    after: CommitId | None = None
    expiry: Expiry | None = None

    def __post_init__(self) -> None:
        if self.replaces and (
            self.fill or self.dedupe is not Dedupe.ROWS or not self.dataset.takes_replacements
        ):
            raise ValueError(
                "rows replace others if all have ids, and are recognised by them; a fill corrects nothing"
            )
        if self.fill is not None:
            self._check_fill(self.fill)
        elif not self.rows.num_rows and (self.complete_until_ns, self.expiry) == (None, None):
            raise ValueError("a batch needs a row, complete_until_ns, a fill or an expiry")
        if self.dataset.has_sides:
            rows = self.rows
            for name, prices in prices_of_sides(rows.column).items():
                index = rows.schema.get_field_index(name)
                rows = rows.set_column(index, rows.schema.field(index), prices)
            object.__setattr__(self, "rows", rows)

    def _check_fill(self, fill: Fill) -> None:
        if self.complete_until_ns is not None:
            raise ValueError("only the feed declares complete_until_ns, not a fill")
        times = self.rows.column(0).to_numpy()
        if len(times) and not fill.window.start_ns <= times.min() <= times.max() < fill.window.end_ns:
            raise ValueError("the rows of a fill lie in its window")

    @property
    def key_hash(self) -> str | None:
        """The hash of the idempotency key, or None."""
        return None if self.request_key is None else hash_of_key(self.request_key)


class Action(StrEnum):
    """The effect of a correction: cancel the row, or give it other values."""

    CANCEL = "cancel"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Correction:
    """A cancel or a correction of the row that now has this event time and all given values.

    named: values of the dataset's `named_by` columns; None names a row without a value. new: the new values by
    column; event time and ids cannot be changed.
    """

    action: Action
    timestamp_ns: int
    named: Mapping[str, object] = field(default_factory=dict)
    new: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amendment:
    """A batch of at least one correction for one log, in the order in which they apply.

    caller: the sender, stored in the commit. request_key: the sender's idempotency key, or None; only its hash
    is stored.
    """

    dataset: Dataset
    symbol: str
    corrections: tuple[Correction, ...]
    caller: str
    request_key: str | None = None

    @property
    def key_hash(self) -> str | None:
        """The hash of the idempotency key, or None."""
        return None if self.request_key is None else hash_of_key(self.request_key)

    @property
    def times(self) -> Integers:
        """The event times of the corrections, ascending and distinct."""
        return distinct(np.array([each.timestamp_ns for each in self.corrections], np.int64))

    def __post_init__(self) -> None:
        dataset = self.dataset
        fixed = {dataset.columns[0].name, *dataset.id_columns}.difference(dataset.corrected)
        changeable = {column.name for column in dataset.columns} - fixed
        for correction in self.corrections:
            if not set(dataset.named_by).issuperset(correction.named):
                raise ValueError(
                    f"a row is named by {sorted(dataset.named_by)}, not {sorted(correction.named)}"
                )
            if bool(correction.new) is (correction.action is Action.CANCEL):
                raise ValueError("a correct needs new values, and a cancel must have none")
            if not changeable.issuperset(correction.new):
                raise ValueError(
                    f"a correction may change {sorted(changeable)}, not {sorted(correction.new)}"
                )


DUPLICATE_ROWS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of a batch. commit: the log's newest commit once the batch is known to be stored.

    duplicate_rows: the indices in the batch of the first hundred rows that were stored before (or corrections
    that were applied before). superseded: how many rows of fills the batch cancelled; None if it
    cancelled none.
    replaced: how many stored rows got the values of a row of the batch; see `Append`.
    """

    received: int
    stored: int
    duplicate_rows: tuple[int, ...]
    commit: CommitId
    replayed: bool = False
    superseded: int | None = None
    replaced: int = 0

    @property
    def duplicates(self) -> int:
        """The number of rows of the batch that were stored before."""
        return self.received - self.stored - self.replaced
