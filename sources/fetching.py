"""Fetches: bring the rows of a symbol from its source, page by page.

The fills in the symbol's log are the progress: a page is stored with the window that it answers, and a window that is
answered is not asked for again. So a fetch that ends in the midst loses at most a page, whatever ended it.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from django.utils import timezone

from sources.asking import minute_pages, rows_within
from sources.models import FetchedLog, ShownTerms, SourceSymbol
from sources.planning import FetchPlan, actions_plan, check_binding, question, unknown_windows
from sources.protocol import SourceFailed, SourceRefused, Wanted
from sources.row_checks import rows_checked
from stats.market_data.plan import log_at
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.protocol import Action, Correction, Fill, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS
from trades.correction_batch import CorrectionBatch
from trades.instruments.services import instruments_set
from trades.services import fill_store, rows_correct
from trades.stores import market_store

CALLER = "fetch"
_ATTEMPTS, _LONGEST_BACKOFF, _LONGEST_WAIT = 8, 30.0, 3_600.0


@dataclass
class FetchResult:
    """What a fetch did.

    new, known, corrected, left_out: rows; those left out break a rule, and `wrong` tells the first. actions: new splits
    and dividends. unanswered: windows of which the source has shown nothing.
    """

    new: int = 0
    known: int = 0
    corrected: int = 0
    left_out: int = 0
    wrong: str = ""
    actions: int = 0
    unanswered: list[Window] = field(default_factory=list)


class Fetch:
    """Runs a plan. result: what was done so far.

    moved: is told after each page how many nanoseconds of the windows are behind, and raises what shall end the fetch.
    pause: waits some seconds, for a reason that the source gave; it raises what shall end the wait.
    """

    def __init__(
        self,
        plan: FetchPlan,
        *,
        moved: Callable[[int], None] = lambda _: None,
        pause: Callable[[float, str], None] = lambda seconds, _: time.sleep(seconds),
    ) -> None:
        self.result = FetchResult()
        self._plan = plan
        self._moved, self._pause = moved, pause
        self._key = f"fetch:{uuid4()}"
        self._pages = self._failures = self._behind_ns = 0
        self._is_bound = False
        resolution = plan.wanted.resolution
        self._bar_ns = 1 if resolution is None else Resolution.of_bars(resolution).length_ns

    def run(self) -> FetchResult:
        """Fetch, and store what comes. Raises `SourceError`s, `StorageError`s; what was stored before stays."""
        ShownTerms.objects.get_or_create(source=self._plan.source.name, defaults={"shown_at": timezone.now()})
        for window in self._plan.windows:
            self._moved(self._behind_ns)
            self._window(window)
            self._behind_ns += window.end_ns - window.start_ns
        self._moved(self._behind_ns)
        if (actions := actions_plan(self._plan)) is not None:
            self.result.actions = Fetch(actions, pause=self._pause).run().new
        return self.result

    def _bind(self) -> None:
        """Declare the instrument, if it never was, and note the source of the symbol: before the first page is stored."""
        plan, order = self._plan, self._plan.order
        bound, _ = SourceSymbol.objects.get_or_create(
            symbol=plan.symbol, defaults={"source": order.source, "name": order.name}
        )
        check_binding(order, plan.symbol)
        if order.dataset is not CORPORATE_ACTIONS:
            log, _ = FetchedLog.objects.get_or_create(
                source_symbol=bound,
                dataset=order.dataset.name,
                resolution=order.resolution,
                defaults={"start_ns": order.window.start_ns},
            )
            earlier = FetchedLog.objects.filter(pk=log.pk, start_ns__gt=order.window.start_ns)
            earlier.update(start_ns=order.window.start_ns)
        if not market_store().declared_instruments(symbol=plan.symbol):
            instruments_set(instruments=[plan.wanted.instrument])

    def _window(self, window: Window) -> None:
        """Fetch a window. After an error that may pass, go on where the last page ended."""
        answered: list[Window] = []
        try:
            while True:
                try:
                    self._ask(window, answered)
                except SourceFailed as error:
                    self._wait(error)
                else:
                    return
        finally:
            self.result.unanswered += [each for each in window.without(answered) if self._has_room(each)]

    def _has_room(self, window: Window) -> bool:
        """Return whether a bar fits into a window. The candle that runs does not: it is not asked for."""
        return window.end_ns - window.start_ns >= self._bar_ns

    def _wait(self, error: SourceFailed) -> None:
        """Wait after an error: as long as the source says, and longer after each failure in a row. Raises it at last.

        Raises SourceRefused at once if each question costs money: nobody has agreed to pay for another one.
        """
        if self._plan.costs_money:
            raise SourceRefused(f"{error}: what was stored stays, and the rest costs again") from error
        jitter = random.uniform(0, min(_LONGEST_BACKOFF, 0.5 * 2**self._failures))  # noqa: S311
        seconds = max(error.retry_after or 0.0, jitter)
        if self._failures >= _ATTEMPTS or seconds > _LONGEST_WAIT:
            raise error
        self._pause(seconds, str(error))

    def _ask(self, window: Window, answered: list[Window]) -> None:
        """Ask for a window from the end of the last page on, and store each page."""
        start_ns = answered[-1].end_ns if answered else window.start_ns
        self._failures += 1
        pages = self._plan.source.pages(self._plan.wanted, Window(start_ns, window.end_ns))
        for page in minute_pages(pages, self._plan.wanted.dataset):
            rows, broken = self._valid(page.rows, page.answered)
            for part in page.answered.without(broken):
                self._store(rows_within(rows, part), part, page.commit)
                answered.append(part)
            self._failures = 0
            self._moved(self._behind_ns + page.answered.end_ns - window.start_ns)
        self._failures = 0

    def _valid(self, rows: pa.RecordBatch, answered: Window) -> tuple[pa.RecordBatch, list[Window]]:
        """Return a page's rows without those that break a rule, and the intervals of the bars that do.

        Of these intervals the source has shown nothing. Raises SourceRefused if the rows are in disorder.
        """
        wanted = self._plan.wanted
        allows = wanted.instrument.allow_nonpositive_price
        checked = rows_checked(rows, wanted.dataset, answered, allows_nonpositive=allows)
        self.result.left_out += len(checked.left_out)
        self.result.wrong = self.result.wrong or checked.wrong
        if wanted.dataset is not BARS:
            return checked.rows, []
        return checked.rows, [Window(each, each + self._bar_ns) for each in checked.left_out.tolist()]

    def _store(self, rows: pa.RecordBatch, answered: Window, commit: str) -> None:
        """Store a page: its rows, and that the source has no others there."""
        wanted, order = self._plan.wanted, self._plan.order
        if not self._is_bound:
            self._bind()
            self._is_bound = True
        if order.again or (wanted.dataset is BARS and self._has_fills_of_others(answered)):
            rows = self._correct(rows, answered)
            if not rows.num_rows and not unknown_windows(wanted, order.source, answered):
                return
        self._pages += 1
        receipt = fill_store(
            dataset=wanted.dataset,
            symbol=self._plan.symbol,
            rows=rows,
            fill=Fill(answered, order.source, question(wanted.dataset, wanted.resolution), commit),
            caller=CALLER,
            request_key=f"{self._key}:{self._pages}",
        )
        self.result.new += receipt.stored
        self.result.known += receipt.duplicates

    def _has_fills_of_others(self, window: Window) -> bool:
        """Return whether secondary sources filled gaps in a window: the symbol's own source has better bars."""
        fills = log_at(self._plan.wanted.dataset, self._plan.symbol).snapshot.fills(window)
        return any(fill.source != self._plan.order.source for _, fill in fills)

    def _correct(self, rows: pa.RecordBatch, answered: Window) -> pa.RecordBatch:
        """Correct stored rows that the source now gives with other values; return the rows that are not stored."""
        stored = _stored_by_id(self._plan.wanted, answered)
        is_new, corrections = np.ones(rows.num_rows, dtype=bool), list[Correction]()
        for number, row in enumerate(rows.to_pylist()):
            ours = stored.get(_identity(self._plan.wanted, row))
            if ours is not None:
                is_new[number] = False
                corrections += _correction(self._plan.wanted, ours, row)
        if corrections:
            self._pages += 1
            rows_correct(
                dataset=self._plan.wanted.dataset,
                batch=CorrectionBatch(self._plan.symbol, tuple(corrections)),
                caller=CALLER,
                request_key=f"{self._key}:{self._pages}",
            )
        self.result.corrected += len(corrections)
        self.result.known += int((~is_new).sum()) - len(corrections)
        return rows.filter(pa.array(is_new))


def _identity(wanted: Wanted, row: dict[str, Any]) -> object:
    """Return what a row of the source is known by; None for rows without an id, which cannot be corrected.

    The id of a trade may come again on another exchange, or another date.
    """
    if wanted.dataset is BARS:
        return (row["resolution"], row["timestamp"])
    if wanted.dataset is not TRADES or row["trade_id"] is None:
        return None
    return (row["exchange"], row["trade_id"], row["timestamp"] // DAY_NS)


def _stored_by_id(wanted: Wanted, window: Window) -> dict[object, dict[str, Any]]:
    rows = log_at(wanted.dataset, wanted.instrument.symbol).snapshot.rows(window)
    by_id = {_identity(wanted, row): row for row in rows.to_pylist()}
    by_id.pop(None, None)
    return by_id


def _correction(wanted: Wanted, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[Correction]:
    """Yield the correction of a stored row, if the source gives other values. What it does not give stays."""
    new = {
        name: theirs[name]
        for name in wanted.dataset.corrected
        if theirs[name] is not None and theirs[name] != ours[name]
    }
    if new:
        named = {name: ours[name] for name in wanted.dataset.named_by}
        yield Correction(Action.CORRECT, ours["timestamp"], named, new)
