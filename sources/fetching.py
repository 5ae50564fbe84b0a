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

import pyarrow as pa

from sources.asking import minute_pages, rows_within
from sources.models import FetchedLog
from sources.planning import FetchPlan, actions_plan, question, symbol_bind
from sources.protocol import SourceFailed, SourcePage, SourceRefused, SourceUnreadable, Wanted
from sources.row_checks import rows_checked
from stats.market_data.plan import log_at
from store.datasets import BARS, CORPORATE_ACTIONS, TRADES
from store.declarations import Dataset
from store.protocol import Action, Correction, Fill, Window
from store.timestamps import DAY_NS
from trades.correction_batch import CorrectionBatch
from trades.services import fill_store, rows_correct

CALLER = "fetch"
_ATTEMPTS, _UNREADABLE_ATTEMPTS, _LONGEST_BACKOFF, _LONGEST_WAIT = 8, 2, 30.0, 3_600.0


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
    pages: gives the pages of a window instead of the plan's source.
    """

    def __init__(
        self,
        plan: FetchPlan,
        *,
        moved: Callable[[int], None] = lambda _: None,
        pause: Callable[[float, str], None] = lambda seconds, _: time.sleep(seconds),
        pages: Callable[[Wanted, Window], Iterator[SourcePage]] | None = None,
    ) -> None:
        self.result = FetchResult()
        self._plan, self._wanted, self._source_pages = plan, plan.wanted, pages or plan.source.pages
        self._moved, self._pause = moved, pause
        self._failures = self._behind_ns = 0
        self._is_bound = plan.is_gap

    def run(self) -> FetchResult:
        """Fetch, and store what comes. Raises `SourceError`s, `StorageError`s; what was stored before stays."""
        self._moved(0)
        for window in self._plan.windows:
            self._window(window)
            self._behind_ns += window.end_ns - window.start_ns
            self._moved(self._behind_ns)
        if (actions := actions_plan(self._plan)) is not None:
            self.result.actions = Fetch(actions, pause=self._pause).run().new
        return self.result

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
            self.result.unanswered += window.without(answered)

    def _wait(self, error: SourceFailed) -> None:
        """Wait after an error: as long as the source says, and longer after each failure in a row. Raises it at last.

        Raises SourceRefused at once if each question costs money: nobody has agreed to pay for another one.
        """
        if self._plan.source.costs_money:
            raise SourceRefused(f"{error}: what was stored stays, and the rest costs again") from error
        jitter = random.uniform(0, min(_LONGEST_BACKOFF, 0.5 * 2**self._failures))  # noqa: S311
        seconds = max(error.retry_after or 0.0, jitter)
        most = _UNREADABLE_ATTEMPTS if isinstance(error, SourceUnreadable) else _ATTEMPTS
        if self._failures >= most or seconds > _LONGEST_WAIT:
            raise error
        self._pause(seconds, str(error))

    def _ask(self, window: Window, answered: list[Window]) -> None:
        """Ask for a window from the end of the last page on, and store each page."""
        start_ns = answered[-1].end_ns if answered else window.start_ns
        self._failures += 1
        pages = self._source_pages(self._wanted, Window(start_ns, window.end_ns))
        for page in minute_pages(pages, self._wanted.dataset):
            allows = self._wanted.instrument.allow_nonpositive_price
            checked = rows_checked(page.rows, self._wanted.dataset, allows_nonpositive=allows)
            self.result.left_out += len(checked.left_out)
            self.result.wrong = self.result.wrong or checked.wrong
            # Of the interval of a bar that is left out the source has shown nothing.
            broken = [Window(each, each + self._wanted.bar_ns) for each in checked.left_out.tolist()]
            for part in page.answered.without(broken):
                self._store(rows_within(checked.rows, part), part, page.commit)
                answered.append(part)
            self._failures = 0
            self._moved(self._behind_ns + page.answered.end_ns - window.start_ns)
        self._failures = 0

    def _store(self, rows: pa.RecordBatch, answered: Window, commit: str) -> None:
        """Store a page: its rows, and that the source has no others there."""
        order = self._plan.order
        if not self._is_bound:
            self._bind()
            self._is_bound = True
        corrected = self._correct(rows, answered) if self._is_corrected(answered) else 0
        receipt = fill_store(
            dataset=order.dataset,
            symbol=self._plan.symbol,
            rows=rows,
            fill=Fill(answered, order.source, question(order.dataset, order.resolution), commit),
            caller=CALLER,
            request_key=f"{uuid4()}",
        )
        self.result.new += receipt.stored
        self.result.known += receipt.duplicates - corrected
        self.result.corrected += corrected

    def _bind(self) -> None:
        """Note the source of the symbol, and since when it is fetched: before the first page is stored."""
        order, start_ns = self._plan.order, self._plan.order.window.start_ns
        bound = symbol_bind(order, self._wanted.instrument)
        if order.dataset is not CORPORATE_ACTIONS:
            key = {"source_symbol": bound, "dataset": order.dataset.name, "resolution": order.resolution}
            log, _ = FetchedLog.objects.get_or_create(**key, defaults={"start_ns": start_ns})
            if start_ns < log.start_ns:
                log.start_ns = start_ns
                log.save()

    def _is_corrected(self, window: Window) -> bool:
        """Return whether rows may differ: bars that a secondary source filled in are worse than the symbol's own."""
        if self._plan.order.again or self._plan.is_gap or self._wanted.dataset is not BARS:
            return self._plan.order.again
        fills = log_at(BARS, self._plan.symbol).snapshot.fills(window)
        return any(fill.source != self._plan.order.source for _, fill in fills)

    def _correct(self, rows: pa.RecordBatch, window: Window) -> int:
        """Correct stored rows that the source now gives with other values; return how many. What it does not give stays."""
        dataset = self._wanted.dataset
        stored = log_at(dataset, self._plan.symbol).snapshot.rows(window).to_pylist()
        by_id = {_identity(dataset, row): row for row in stored}
        corrections: list[Correction] = []
        for theirs in rows.to_pylist():
            identity = _identity(dataset, theirs)
            ours = {} if identity is None else by_id.get(identity, {})
            new = {
                name: theirs[name]
                for name in dataset.corrected
                if ours and theirs[name] not in (None, ours[name])
            }
            if new:
                named = {name: ours[name] for name in dataset.named_by}
                corrections.append(Correction(Action.CORRECT, ours["timestamp"], named, new))
        if corrections:
            batch = CorrectionBatch(self._plan.symbol, tuple(corrections))
            rows_correct(dataset=dataset, batch=batch, caller=CALLER, request_key=f"{uuid4()}")
        return len(corrections)


def _identity(dataset: Dataset, row: dict[str, Any]) -> object:
    """Return what a row of the source is known by; None for rows without an id, which cannot be corrected.

    The id of a trade may come again on another exchange, or another date.
    """
    if dataset is BARS:
        return (row["resolution"], row["timestamp"])
    if dataset is not TRADES or row["trade_id"] is None:
        return None
    return (row["exchange"], row["trade_id"], row["timestamp"] // DAY_NS)
