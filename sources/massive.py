"""Massive's aggregates (formerly Polygon's) by HTTP: bars of US shares, and their splits and dividends."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from ops.outbound.destination import Destination, Limits
from sources.asking import batch_of, errors_told, rows_within
from sources.protocol import SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from sources.us_shares import NEW_YORK, Answer, ShareAction, day_of, local_bounds, share_pages, stored_times
from store.datasets import BARS, CORPORATE_ACTIONS
from store.instruments import EQUITY
from store.protocol import Window
from store.timestamps import MINUTE_NS

_URL = "https://api.massive.com"
# The weeks of Massive begin on Sundays, ours on Mondays.
_TIMESPANS = {"1h": "1/hour", "1d": "1/day"} | {
    f"{n}m": f"{n}/minute" for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
}
_COLUMNS = {
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "vwap": "vw",
    "trade_count": "n",
}
_MILLISECOND_NS = 1_000_000
_BODY_BYTES = 64 * 2**20
# Free plans have 5 calls a minute, and 15 minutes of delay are usual.
_LIMITS: dict[str, Any] = {"attempts": 1, "rate": 5 / 60}
_DELAY_NS = 16 * MINUTE_NS


class Massive:
    """Bars of US shares, which are not adjusted, and splits and dividends.

    key: an API key. url: the URL before `/v2`. limits: see `ops.outbound.destination.Limits`.
    """

    terms = "Massive's terms apply: the data are for your own use. How old and how recent they are depends on your plan."
    tested = "read in its documentation, tested with its published examples only"
    ids_are_sequential = False

    def __init__(
        self, name: str, *, key: str = "", url: str = _URL, limits: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._destination = Destination(
            name, url, headers=headers, limits=Limits(**{**_LIMITS, **(limits or {})})
        )
        setting = f"SOURCE_KEY_{name.upper()}"
        self._needs_key = "" if key else f"{name} needs a key: set {setting}"
        self._refusals = {
            401: f"{name} does not know the key in {setting}",
            403: f"the plan of the key in {setting} lacks data of this time: a free plan has the two years up to yesterday",
        }

    def refusal(self, wanted: Wanted) -> str:
        """See `Source`."""
        if wanted.instrument.instrument_class != EQUITY or wanted.dataset not in (BARS, CORPORATE_ACTIONS):
            return f"{self.name} is asked for bars, splits and dividends of US shares only: import its files of others"
        if wanted.dataset is BARS and wanted.resolution not in _TIMESPANS:
            return f"{self.name} has no bars of {wanted.resolution}: it has {', '.join(_TIMESPANS)}"
        return self._needs_key

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`. A page has 1,000, by name."""
        if self._needs_key:
            raise SourceRefused(self._needs_key)
        terms = {"market": "stocks", "active": "true", "sort": "ticker", "order": "asc", "limit": "1000"}
        with errors_told(self.name, self._refusals):
            for tickers, _ in self._results("/v3/reference/tickers", terms):
                yield from map(_market, tickers)

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """See `Source`, and `share_pages`."""
        if refusal := self.refusal(wanted):
            raise SourceRefused(refusal)
        with errors_told(self.name, self._refusals):
            yield from share_pages(
                self.name, wanted, window, rows=self._bars, actions=self._actions, delay_ns=_DELAY_NS
            )

    def _bars(self, wanted: Wanted, window: Window, is_first_enough: bool) -> Iterator[Answer]:
        """See `share_pages`. Massive rounds a range to whole bars. Its limit is of the minutes or days that make them."""
        asked = local_bounds(wanted, window, NEW_YORK)
        first, last = -(-asked.start_ns // _MILLISECOND_NS), (asked.end_ns - 1) // _MILLISECOND_NS
        span = f"{_TIMESPANS[wanted.resolution or '']}/{first}/{last}"
        terms = {"adjusted": "false", "sort": "asc", "limit": "120" if is_first_enough else "50000"}
        for bars, is_last in self._results(
            f"/v2/aggs/ticker/{quote(wanted.name, safe='')}/range/{span}", terms
        ):
            columns = {name: [bar.get(theirs) for bar in bars] for name, theirs in _COLUMNS.items()}
            times = stored_times(self.name, wanted, [bar["t"] * _MILLISECOND_NS for bar in bars], NEW_YORK)
            resolutions = [wanted.resolution] * len(bars)
            rows = batch_of(BARS, {**columns, "timestamp": times, "resolution": resolutions})
            yield rows_within(rows, window), is_last, ""

    def _actions(self, wanted: Wanted, window: Window) -> Iterator[ShareAction]:
        first, last = day_of(window.start_ns), day_of(window.end_ns)
        for name, day, action in (
            ("splits", "execution_date", _split), ("dividends", "ex_dividend_date", _dividend)
        ):  # fmt: skip
            terms = {"ticker": wanted.name, f"{day}.gte": f"{first}", f"{day}.lte": f"{last}"}
            for rows, _ in self._results(
                f"/stocks/v1/{name}", terms | {"limit": "5000", "sort": f"{day}.asc"}
            ):
                yield from map(action, rows)

    def _results(self, path: str, terms: Mapping[str, str]) -> Iterator[tuple[list[Any], bool]]:
        """Yield the results of each page, and whether it is the last one."""
        before = ""
        while True:
            document, _ = self._destination.get_json(path, params=terms, max_bytes=_BODY_BYTES)
            following = document.get("next_url") or ""
            yield document.get("results") or [], not following
            if not following:
                return
            if following == before:
                raise SourceFailed(f"{self.name}: its pages do not end")
            # Only the path and the query: the key goes to no other host.
            before, parts = following, urlsplit(following)
            path, terms = parts.path, dict(parse_qsl(parts.query))


def _split(row: Any) -> ShareAction:
    return ShareAction(
        row["execution_date"], "split", row["split_to"] / row["split_from"], None, None, row["id"]
    )


def _dividend(row: Any) -> ShareAction:
    kind = "special_dividend" if row.get("distribution_type") == "special" else "dividend"
    return ShareAction(row["ex_dividend_date"], kind, None, row["cash_amount"], row["currency"], row["id"])


def _market(row: Any) -> SourceMarket:
    ticker, currency = row["ticker"], (row.get("currency_name") or "usd").upper()
    name, exchange = row.get("name") or "", row.get("primary_exchange")
    return SourceMarket(ticker, ticker, EQUITY, name, currency, Decimal("0.01"), exchange)
