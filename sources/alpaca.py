"""Alpaca's market data, or an installation that speaks its API (`/api/v2`): US shares and crypto."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from ops.outbound.destination import Destination, Limits
from sources.asking import PAGE_ROWS, batch_of, errors_told, rows_within
from sources.protocol import SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from sources.us_shares import NEW_YORK, Answer, ShareAction, day_of, local_bounds, share_pages, stored_times
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import WORD_SEPARATOR
from store.instruments import CRYPTO, EQUITY
from store.protocol import Window
from store.timestamps import MINUTE_NS, format_timestamp, parse_timestamps
from trades.conditions import CONDITION_MAPS
from trades.conditions.tapes import EXCHANGES_BY_LETTER

_URL, _TRADING_URL, _PAPER_URL = (f"https://{each}.alpaca.markets" for each in ("data", "api", "paper-api"))
_PATHS = {EQUITY: "/v2/stocks", CRYPTO: "/v1beta3/crypto/us"}
_ZONES = {EQUITY: NEW_YORK, CRYPTO: ZoneInfo("UTC")}
_NAMES = {TRADES: "trades", QUOTES: "quotes", BARS: "bars"}
# Our columns by dataset, and Alpaca's.
_COLUMNS = {
    TRADES: {"price": "p", "volume": "s", "trade_id": "i", "exchange": "x", "buyer_is_maker": "tks"},
    QUOTES: {"bid": "bp", "bid_size": "bs", "ask": "ap", "ask_size": "as", "exchange": "bx"},
    BARS: {
        "open": "o",
        "high": "h",
        "low": "l",
        "close": "c",
        "volume": "v",
        "vwap": "vw",
        "trade_count": "n",
    },
}
# Bars of several hours do not begin at the multiples of their length in UTC.
_TIMEFRAMES = {"1h": "1Hour", "1d": "1Day", "1w": "1Week", "1M": "1Month"} | {
    f"{count}m": f"{count}Min" for count in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
}
_MICS = {"NYSE": "XNYS", "NASDAQ": "XNAS", "ARCA": "ARCX", "AMEX": "XASE", "BATS": "BATS"}
_BODY_BYTES = 64 * 2**20
# 200 calls a minute are free.
_LIMITS: dict[str, Any] = {"attempts": 1, "rate": 3.0}
# Free plans have no SIP data of the last 15 minutes, and refuse a range with them.
_DELAY_NS = 16 * MINUTE_NS
# Prints that were cancelled, or replaced by a corrected one.
_GONE = frozenset({"canceled", "incorrect"})
# Alpaca finds actions by their dates of processing, which are up to some weeks after the ex-dates.
_PROCESSED = timedelta(days=100)
_ACTIONS = ("forward_splits", "reverse_splits", "stock_dividends", "cash_dividends")


class Alpaca:
    """Bars, trades and quotes of shares and crypto; splits and dividends. Bars of shares are not adjusted.

    key: the id and the secret with a colon between, or a whole key of an installation. url, trading_url: before `/v2` and
    `/v1beta3`. feed: of shares, `iex` or, with a paid plan, `sip`. limits: see `ops.outbound.destination.Limits`.
    """

    terms = (
        "Alpaca's terms apply: the data are for your own use. The free feed is one exchange, IEX, whose volume is not the"
        " market's."
    )
    ids_are_sequential = False

    def __init__(
        self,
        name: str,
        *,
        key: str = "",
        url: str = _URL,
        trading_url: str = "",
        feed: str = "iex",
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self._feed = name, feed
        key_id, _, secret = key.partition(":")
        headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret or "none"} if key else {}
        of_key = _PAPER_URL if key_id.startswith("PK") else _TRADING_URL
        self._data, self._trading = (
            Destination(name, each, headers=headers, limits=Limits(**{**_LIMITS, **(limits or {})}))
            for each in (url, trading_url or (of_key if url == _URL else url))
        )
        setting = f"SOURCE_KEY_{name.upper()}"
        form = f"{name} needs a key: set {setting} to its id and its secret with a colon between"
        self._needs_key = "" if key or url != _URL else form
        self._refusals = {
            401: f"{name} does not know the key in {setting}",
            403: f"{name} does not know the key in {setting}, or its plan lacks the feed {feed} of this time",
        }

    def refusal(self, wanted: Wanted) -> str:
        """See `Source`."""
        cls = wanted.instrument.instrument_class
        is_action = wanted.dataset is CORPORATE_ACTIONS and cls == EQUITY
        if cls not in _PATHS or not (is_action or wanted.dataset in _NAMES):
            return f"{self.name} has no {wanted.dataset.name} of the class {cls}"
        if wanted.dataset is BARS and wanted.resolution not in _TIMEFRAMES:
            return f"{self.name} has no bars of {wanted.resolution}: it has {', '.join(_TIMEFRAMES)}"
        return self._needs_key

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`."""
        if self._needs_key:
            raise SourceRefused(self._needs_key)
        with errors_told(self.name, self._refusals):
            for asset_class in ("us_equity", "crypto"):
                terms = {"status": "active", "asset_class": asset_class}
                assets, _ = self._trading.get_json("/v2/assets", params=terms, max_bytes=_BODY_BYTES)
                yield from map(_market, assets)

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """See `Source`, and `share_pages`."""
        if refusal := self.refusal(wanted):
            raise SourceRefused(refusal)
        delay_ns = _DELAY_NS if self._feed == "sip" else 0
        with errors_told(self.name, self._refusals):
            yield from share_pages(
                self.name, wanted, window, rows=self._rows, actions=self._actions, delay_ns=delay_ns
            )

    def _rows(self, wanted: Wanted, window: Window, is_first_enough: bool) -> Iterator[Answer]:
        cls, name = wanted.instrument.instrument_class, _NAMES[wanted.dataset]
        symbol = wanted.name.replace("-", "/", 1) if cls == CRYPTO else wanted.name
        asked = local_bounds(wanted, window, _ZONES[cls])
        terms = {"symbols": symbol, "limit": "1" if is_first_enough else str(PAGE_ROWS), "sort": "asc"}
        terms |= {"start": format_timestamp(asked.start_ns), "end": format_timestamp(asked.end_ns - 1)}
        if wanted.dataset is BARS:
            terms |= {"timeframe": _TIMEFRAMES[wanted.resolution or ""]}
        if cls == EQUITY:
            terms |= {"feed": self._feed, **({"adjustment": "raw"} if wanted.dataset is BARS else {})}
        for document, is_last, commit in self._documents(f"{_PATHS[cls]}/{name}", terms):
            rows = _batch(self.name, wanted, (document[name] or {}).get(symbol) or [])
            yield rows_within(rows, window), is_last, commit

    def _documents(self, path: str, terms: dict[str, str]) -> Iterator[tuple[Any, bool, str]]:
        """Yield the document of each page, whether it is the last one, and the commit."""
        while True:
            document, headers = self._data.get_json(path, params=terms, max_bytes=_BODY_BYTES)
            token = document["next_page_token"]
            yield document, not token, headers.get("X-Commit", "")
            if not token:
                return
            if token == terms.get("page_token"):
                raise SourceFailed(f"{self.name}: its pages do not end")
            terms["page_token"] = token

    def _actions(self, wanted: Wanted, window: Window) -> Iterator[ShareAction]:
        first, last = day_of(window.start_ns) - _PROCESSED, day_of(window.end_ns) + _PROCESSED
        terms = {"symbols": wanted.name, "limit": "1000", "start": f"{first}", "end": f"{last}"}
        for document, *_ in self._documents("/v1/corporate-actions", terms):
            for kind in _ACTIONS:
                for row in document["corporate_actions"].get(kind, ()):
                    yield _action(kind, row)


def _batch(source: str, wanted: Wanted, rows: list[Any]) -> pa.RecordBatch:
    """Return rows in the dataset's schema."""
    rows = [row for row in rows if row.get("u") not in _GONE]
    columns: dict[str, Any] = {
        name: [row.get(theirs) for row in rows] for name, theirs in _COLUMNS[wanted.dataset].items()
    }
    times = parse_timestamps([row["t"] for row in rows]).tolist()
    columns["timestamp"] = stored_times(source, wanted, times, _ZONES[wanted.instrument.instrument_class])
    columns["resolution"] = [wanted.resolution] * len(rows)
    if "exchange" in columns:
        columns["exchange"] = [EXCHANGES_BY_LETTER.get(each, each) for each in columns["exchange"]]
        columns["conditions"] = _conditions(wanted.dataset.name, rows)
    if wanted.dataset is TRADES:
        columns["trade_id"] = [None if each is None else str(each) for each in columns["trade_id"]]
        columns["buyer_is_maker"] = [{"S": True, "B": False}.get(each) for each in columns["buyer_is_maker"]]
    return batch_of(wanted.dataset, columns)


def _conditions(dataset: str, rows: list[Any]) -> pa.Array:
    """Return the words of rows. The codes are those of the row's tape; without a tape they are words already."""
    joined = [
        WORD_SEPARATOR.join("@" if code == " " else code for code in row.get("c") or ()) or None
        for row in rows
    ]
    codes, tapes = pa.array(joined, pa.string()), pa.array([row.get("z") for row in rows], pa.string())
    cta, utp = (CONDITION_MAPS[name].translated(dataset, codes) for name in ("cta", "utp"))
    return pc.if_else(tapes.is_null(), codes, pc.if_else(pc.equal(tapes, "C"), utp, cta))


def _action(kind: str, row: Any) -> ShareAction:
    """Return a split or dividend. A dividend in shares is a split."""
    if kind == "cash_dividends":
        name = "special_dividend" if row.get("special") else "dividend"
        return ShareAction(row["ex_date"], name, None, row["rate"], row.get("currency") or "USD", row["id"])
    ratio = 1 + row["rate"] if kind == "stock_dividends" else row["new_rate"] / row["old_rate"]
    return ShareAction(row["ex_date"], "split", ratio, None, None, row["id"])


def _market(asset: Any) -> SourceMarket:
    cls = CRYPTO if asset["class"] == "crypto" else EQUITY
    symbol, tick = asset["symbol"].replace("/", "-", 1), asset.get("price_increment")
    currency = symbol.rpartition("-")[2] if cls == CRYPTO else "USD"
    tick_size = Decimal(tick) if tick else (None if cls == CRYPTO else Decimal("0.01"))
    exchange = _MICS.get(asset["exchange"])
    return SourceMarket(asset["symbol"], symbol, cls, asset.get("name") or "", currency, tick_size, exchange)
