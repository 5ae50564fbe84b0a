"""What sources share: requests over HTTP page by page, and rows cut into pages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from ops.outbound.destination import Destination, Limits
from sources.protocol import PAGE_ROWS, Source, SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.protocol import Window
from store.timestamps import MINUTE_NS

_BODY_BYTES = 64 * 2**20


class HttpSource(Source):
    """A source that is asked over HTTP, page by page.

    key: an API key; see `_headers_of`. url: instead of `usual_url`. limits: instead of single ones of `usual_limits`, see
    `ops.outbound.destination.Limits`. timeframes: the source's word for each length of bars. page_names: of the member with
    the next page's token, and of the parameter that takes it. refusals: sentences for statuses, with {name} and {setting}.
    """

    usual_url = ""
    usual_limits: ClassVar[Mapping[str, Any]] = {"attempts": 1}
    timeframes: ClassVar[Mapping[str, str]] = {}
    page_names = "next_cursor", "cursor"
    refusals: ClassVar[Mapping[int, str]] = {}
    must_have_key = True

    def __init__(
        self, name: str, *, key: str = "", url: str = "", limits: Mapping[str, Any] | None = None
    ) -> None:
        """Raises `DestinationRefused`, `TypeError`, `ValueError`."""
        self.name = name
        self._headers = self._headers_of(key) if key else {}
        self._limits = Limits(**{**self.usual_limits, **(limits or {})})
        self._destination = self._destination_at(url or self.usual_url)
        setting = f"SOURCE_KEY_{name.upper()}"
        self._needs_key = "" if key or not self.must_have_key else f"{name} needs a key: set {setting}"
        told = {401: "{name} does not know the key in {setting}", **self.refusals}
        self.told_statuses = {
            status: text.format(name=name, setting=setting) for status, text in told.items()
        }

    def _headers_of(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def refusal(self, wanted: Wanted) -> str:
        if wanted.dataset is BARS and wanted.resolution not in self.timeframes:
            return f"{self.name} has no bars of {wanted.resolution}: it has {', '.join(self.timeframes)}"
        return self._needs_key

    def markets(self) -> Iterator[SourceMarket]:
        if self._needs_key:
            raise SourceRefused(self._needs_key)
        with self._errors_told():
            yield from self._markets()

    def _markets(self) -> Iterable[SourceMarket]:
        return ()

    def _destination_at(self, url: str) -> Destination:
        return Destination(self.name, url, headers=self._headers, limits=self._limits)

    def _documents(self, path: str, terms: Mapping[str, str]) -> Iterator[tuple[Any, bool, str]]:
        """Yield the document of each page, whether it is the last one, and the source's commit."""
        following: tuple[str, Mapping[str, str]] | None = path, terms
        while following is not None:
            path, terms = following
            document, headers = self._destination.get_json(path, params=terms, max_bytes=_BODY_BYTES)
            following = self._following(document, path, terms)
            yield document, following is None, headers.get("X-Commit", "")

    def _following(
        self, document: Any, path: str, terms: Mapping[str, str]
    ) -> tuple[str, Mapping[str, str]] | None:
        """Return path and parameters of the page after a page; None after the last one."""
        member, parameter = self.page_names
        token = document.get(member)
        return (path, {**terms, parameter: token}) if token else None


def batch_of(dataset: Dataset, columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    """Return rows in a dataset's schema. columns: those that are not all null; `timestamp` is one of them."""
    count = len(columns["timestamp"])
    arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in dataset.schema]
    return pa.record_batch(arrays, schema=dataset.schema)


def rows_within(rows: pa.RecordBatch, window: Window) -> pa.RecordBatch:
    """Return the rows of a window."""
    times = rows.column(0).to_numpy()
    is_inside = (times >= window.start_ns) & (times < window.end_ns)
    return rows if is_inside.all() else rows.filter(pa.array(is_inside))


def parts_of(window: Window, longest_ns: int) -> Iterator[Window]:
    """Yield the parts of a window, each at most so long."""
    for start_ns in range(window.start_ns, window.end_ns, longest_ns):
        yield Window(start_ns, min(start_ns + longest_ns, window.end_ns))


def minute_pages(pages: Iterable[SourcePage], dataset: Dataset) -> Iterator[SourcePage]:
    """Yield pages of trades that end with a whole minute, but the last one; pages of other rows as they are.

    A fetch that stops between two pages would leave a part of a minute, which hides the stored bar of the minute.
    """
    held: SourcePage | None = None
    for given in pages:
        page = given
        if held is not None and held.answered.end_ns == page.answered.start_ns:
            rows = pa.concat_batches([held.rows, page.rows])
            page = page._replace(rows=rows, answered=Window(held.answered.start_ns, page.answered.end_ns))
        elif held is not None:
            yield held
        start_ns, end_ns = page.answered.start_ns, page.answered.end_ns
        cut_ns = end_ns // MINUTE_NS * MINUTE_NS if dataset is TRADES else end_ns
        if start_ns < cut_ns:
            whole, rest = Window(start_ns, cut_ns), Window(cut_ns, end_ns)
            yield page._replace(rows=rows_within(page.rows, whole), answered=whole)
            page = page._replace(rows=rows_within(page.rows, rest), answered=rest)
        held = page if page.answered.start_ns < end_ns else None
    if held is not None:
        yield held


class Shown(NamedTuple):
    """Rows, and the instant before which the source has shown all rows; None: the last row's. commit: see `SourcePage`."""

    rows: pa.RecordBatch
    until_ns: int | None = None
    commit: str = ""


def pages_of(source: str, shown: Iterable[Shown], start_ns: int) -> Iterator[SourcePage]:
    """Yield pages of the rows that a source shows part by part, ascending, from `start_ns` on.

    Rows from a part's `until_ns` on are kept for the next page: the next part may have more of the same time. After the
    last part they are answered, too, and nothing behind them. A page has more than `PAGE_ROWS` rows only if they are of
    one time. Raises `SourceFailed` for rows that go back in time.
    """
    held, commit = None, ""
    for rows, until_ns, commit in shown:
        held = rows if held is None else pa.concat_batches([held, rows])
        times = held.column(0).to_numpy()
        if (times[1:] < times[:-1]).any() or (len(times) and times[0] < start_ns):
            raise SourceFailed(f"{source} gave rows that go back in time")
        end_ns = until_ns if until_ns is not None else int(times[-1]) if len(times) else start_ns
        while start_ns < end_ns:
            cut_ns = _page_end(times, end_ns)
            count = int(np.searchsorted(times, cut_ns))
            yield SourcePage(held.slice(0, count), Window(start_ns, cut_ns), commit)
            start_ns, held, times = cut_ns, held.slice(count), times[count:]
    if held is not None and held.num_rows:
        yield SourcePage(held, Window(start_ns, held.column(0)[-1].as_py() + 1), commit)


def _page_end(times: Any, until_ns: int) -> int:
    """Return the end of a page that begins with the first of the times."""
    if len(times) <= PAGE_ROWS or times[PAGE_ROWS] >= until_ns:
        return until_ns
    return int(times[PAGE_ROWS]) if times[PAGE_ROWS] > times[0] else min(until_ns, int(times[0]) + 1)
