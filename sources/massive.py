"""Massive's aggregates (formerly Polygon's) by HTTP: bars of US shares, and their splits and dividends."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from sources.protocol import SourceMarket, Wanted
from sources.us_shares import BAR_COLUMNS, MINUTE_COUNTS, Answer, ShareAction, ShareSource, day_of
from store.datasets import BARS, CORPORATE_ACTIONS
from store.instruments import EQUITY
from store.protocol import Window

_MILLISECOND_NS = 1_000_000


class Massive(ShareSource):
    """Bars of US shares, which are not adjusted, and splits and dividends. url: before `/v2`."""

    terms = "Massive's terms apply: the data are for your own use. How old and how recent they are depends on your plan."
    tested = "read in its documentation, tested with its published examples only"
    usual_url = "https://api.massive.com"
    # Free plans have 5 calls a minute, and 15 minutes of delay are usual.
    usual_limits = {"attempts": 1, "rate": 5 / 60}
    is_delayed = True
    # The weeks of Massive begin on Sundays, ours on Mondays.
    timeframes = {"1h": "1/hour", "1d": "1/day"} | {f"{each}m": f"{each}/minute" for each in MINUTE_COUNTS}
    refusals = {
        403: "the plan of the key in {setting} lacks data of this time: a free plan has the two years up to yesterday"
    }

    def refusal(self, wanted: Wanted) -> str:
        if wanted.instrument.instrument_class != EQUITY or wanted.dataset not in (BARS, CORPORATE_ACTIONS):
            return f"{self.name} is asked for bars, splits and dividends of US shares only: import its files of others"
        return super().refusal(wanted)

    def _markets(self) -> Iterator[SourceMarket]:
        terms = {"market": "stocks", "active": "true", "sort": "ticker", "order": "asc", "limit": "1000"}
        for document, *_ in self._documents("/v3/reference/tickers", terms):
            yield from map(_market, document.get("results") or ())

    def _rows(self, wanted: Wanted, window: Window, *, is_first_enough: bool) -> Iterator[Answer]:
        """See `ShareSource`. Massive rounds a range to whole bars. Its limit is of the minutes or days that make them."""
        first, last = -(-window.start_ns // _MILLISECOND_NS), (window.end_ns - 1) // _MILLISECOND_NS
        path = (
            f"/v2/aggs/ticker/{quote(wanted.name, safe='')}/range/{self.timeframes[wanted.resolution or '']}"
        )
        terms = {"adjusted": "false", "sort": "asc", "limit": "120" if is_first_enough else "50000"}
        for document, is_last, commit in self._documents(f"{path}/{first}/{last}", terms):
            bars = document.get("results") or []
            columns = {name: [bar.get(theirs) for bar in bars] for name, theirs in BAR_COLUMNS.items()}
            yield {**columns, "timestamp": [bar["t"] * _MILLISECOND_NS for bar in bars]}, is_last, commit

    def _actions(self, wanted: Wanted, window: Window) -> Iterator[ShareAction]:
        first, last = day_of(window.start_ns), day_of(window.end_ns)
        for name, day, action in (
            ("splits", "execution_date", _split), ("dividends", "ex_dividend_date", _dividend)
        ):  # fmt: skip
            terms = {"ticker": wanted.name, f"{day}.gte": f"{first}", f"{day}.lte": f"{last}"}
            terms |= {"limit": "5000", "sort": f"{day}.asc"}
            for document, *_ in self._documents(f"/stocks/v1/{name}", terms):
                yield from map(action, document.get("results") or ())

    def _following(
        self, document: Any, path: str, terms: Mapping[str, str]
    ) -> tuple[str, Mapping[str, str]] | None:
        """See `HttpSource`. Only path and query of the next page's URL: the key goes to no other host."""
        parts = urlsplit(document.get("next_url") or "")
        return (parts.path, dict(parse_qsl(parts.query))) if parts.path else None


def _split(row: Any) -> ShareAction:
    ratio = row["split_to"] / row["split_from"]
    return ShareAction(row["execution_date"], "split", ratio, None, None, row["id"])


def _dividend(row: Any) -> ShareAction:
    kind = "special_dividend" if row.get("distribution_type") == "special" else "dividend"
    return ShareAction(row["ex_dividend_date"], kind, None, row["cash_amount"], row["currency"], row["id"])


def _market(row: Any) -> SourceMarket:
    ticker, currency = row["ticker"], (row.get("currency_name") or "usd").upper()
    name, exchange = row.get("name") or "", row.get("primary_exchange")
    return SourceMarket(ticker, ticker, EQUITY, name, currency, Decimal("0.01"), exchange)
