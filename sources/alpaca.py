"""Alpaca's market data, or an installation that speaks its API (`/api/v2`): US shares and crypto."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sources.alpaca_live import live_trades
from sources.asking import batch_of
from sources.protocol import PAGE_ROWS, LiveNews, SourceMarket, SourceRefused, Wanted
from sources.us_shares import BAR_COLUMNS, MINUTE_COUNTS, Answer, ShareAction, ShareSource, day_of
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import WORD_SEPARATOR, Dataset
from store.instruments import CRYPTO, EQUITY
from store.protocol import Window
from store.timestamps import format_timestamp, parse_timestamps
from trades.conditions import CONDITION_MAPS
from trades.conditions.tapes import EXCHANGES_BY_LETTER

_PATHS = {EQUITY: "/v2/stocks", CRYPTO: "/v1beta3/crypto/us"}
# Our columns by dataset, and Alpaca's.
_COLUMNS = {
    TRADES: {"price": "p", "volume": "s", "trade_id": "i", "exchange": "x", "buyer_is_maker": "tks"},
    QUOTES: {"bid": "bp", "bid_size": "bs", "ask": "ap", "ask_size": "as", "exchange": "bx"},
    BARS: BAR_COLUMNS,
}
_MICS = {"NYSE": "XNYS", "NASDAQ": "XNAS", "ARCA": "ARCX", "AMEX": "XASE", "BATS": "BATS"}
_ASSETS_BYTES = 64 * 2**20
# Prints that were cancelled, or replaced by a corrected one.
_GONE = frozenset({"canceled", "incorrect"})
# Alpaca finds actions by their dates of processing, which are up to some weeks after the ex-dates.
_PROCESSED = timedelta(days=100)
_ACTIONS = ("forward_splits", "reverse_splits", "stock_dividends", "cash_dividends")


class Alpaca(ShareSource):
    """Bars, trades and quotes of shares and crypto; splits and dividends. Bars of shares are not adjusted.

    key: the id and the secret with a colon between, or a whole key of an installation. url, trading_url: before `/v2` and
    `/v1beta3`. feed: of shares, `iex` or, with a paid plan, `sip`.
    """

    terms = (
        "Alpaca's terms apply: the data are for your own use. The free feed is one exchange, IEX, whose volume is not the"
        " market's."
    )
    # 200 calls a minute are free.
    usual_limits = {"attempts": 1, "rate": 3.0}
    # Bars of several hours do not begin at the multiples of their length in UTC.
    timeframes = {"1h": "1Hour", "1d": "1Day", "1w": "1Week", "1M": "1Month"} | {
        f"{each}m": f"{each}Min" for each in MINUTE_COUNTS
    }
    page_names = "next_page_token", "page_token"
    # Trades are final after a minute.
    settled_seconds = 75.0

    usual_url = "https://data.alpaca.markets"
    refusals = {403: "{name} does not know the key in {setting}, or its plan lacks the feed of this time"}

    def __init__(self, name: str, *, trading_url: str = "", feed: str = "iex", **members: Any) -> None:
        super().__init__(name, **members)
        url, is_paper = members.get("url", self.usual_url), members.get("key", "").startswith("PK")
        of_key = "https://paper-api.alpaca.markets" if is_paper else "https://api.alpaca.markets"
        self._trading = self._destination_at(trading_url or (of_key if url == self.usual_url else url))
        # Free plans have no SIP data of the last 15 minutes, and refuse a range with them.
        self._feed, self.is_delayed = feed, feed == "sip"
        # Its history would be 16 minutes behind its live trades.
        self.gives_live = not self.is_delayed
        self._key = self._headers_of(members.get("key", ""))
        self._stream = "wss://stream.data.alpaca.markets"
        if url != self.usual_url:
            self._needs_key, self._stream = "", f"ws{url.removeprefix('http')}"
        elif self._needs_key:
            self._needs_key += " to its id and its secret with a colon between"

    def live(self, wanteds: Sequence[Wanted]) -> AsyncGenerator[LiveNews, None]:
        """See `Source`."""
        if self._needs_key:
            raise SourceRefused(self._needs_key)
        is_crypto = wanteds[0].instrument.instrument_class == CRYPTO
        url = self._stream + ("/v1beta3/crypto/us" if is_crypto else f"/v2/{self._feed}")
        names = [each.name for each in wanteds]
        return live_trades(self.name, url, [*self._key.values()], names, _live_rows)

    def _headers_of(self, key: str) -> dict[str, str]:
        key_id, _, secret = key.partition(":")
        return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret or "none"}

    def refusal(self, wanted: Wanted) -> str:
        cls = wanted.instrument.instrument_class
        if cls not in _PATHS or not (
            wanted.dataset in _COLUMNS or (wanted.dataset is CORPORATE_ACTIONS and cls == EQUITY)
        ):
            return f"{self.name} has no {wanted.dataset.name} of the class {cls}"
        if cls == CRYPTO and wanted.resolution in ("1d", "1w", "1M"):
            return (
                f"the days of {self.name} do not begin at midnight UTC: fetch 1h, of which they are made here"
            )
        return super().refusal(wanted)

    def _markets(self) -> Iterator[SourceMarket]:
        for asset_class in ("us_equity", "crypto"):
            terms = {"status": "active", "asset_class": asset_class}
            assets, _ = self._trading.get_json("/v2/assets", params=terms, max_bytes=_ASSETS_BYTES)
            yield from map(_market, assets)

    def _rows(self, wanted: Wanted, window: Window, *, is_first_enough: bool) -> Iterator[Answer]:
        cls, name = wanted.instrument.instrument_class, wanted.dataset.name
        symbol = wanted.name.replace("-", "/", 1) if cls == CRYPTO else wanted.name
        terms = {"symbols": symbol, "limit": "1" if is_first_enough else str(PAGE_ROWS), "sort": "asc"}
        terms |= {"start": format_timestamp(window.start_ns), "end": format_timestamp(window.end_ns - 1)}
        if wanted.dataset is BARS:
            terms |= {"timeframe": self.timeframes[wanted.resolution or ""]}
        if cls == EQUITY:
            terms |= {"feed": self._feed, **({"adjustment": "raw"} if wanted.dataset is BARS else {})}
        for document, is_last, commit in self._documents(f"{_PATHS[cls]}/{name}", terms):
            yield _columns(wanted.dataset, (document[name] or {}).get(symbol) or []), is_last, commit

    def _actions(self, wanted: Wanted, window: Window) -> Iterator[ShareAction]:
        first, last = day_of(window.start_ns) - _PROCESSED, day_of(window.end_ns) + _PROCESSED
        terms = {"symbols": wanted.name, "limit": "1000", "start": f"{first}", "end": f"{last}"}
        for document, *_ in self._documents("/v1/corporate-actions", terms):
            for kind in _ACTIONS:
                for row in document["corporate_actions"].get(kind, ()):
                    yield _action(kind, row)


def _live_rows(rows: list[Any]) -> pa.RecordBatch:
    return batch_of(TRADES, _columns(TRADES, rows))


def _columns(dataset: Dataset, rows: list[Any]) -> dict[str, Any]:
    rows = [row for row in rows if row.get("u") not in _GONE]
    columns: dict[str, Any] = {
        name: [row.get(theirs) for row in rows] for name, theirs in _COLUMNS[dataset].items()
    }
    columns["timestamp"] = parse_timestamps([row["t"] for row in rows]).tolist()
    if "exchange" in columns:
        columns["exchange"] = [EXCHANGES_BY_LETTER.get(each, each) for each in columns["exchange"]]
        columns["conditions"] = _conditions(dataset.name, rows)
    if dataset is TRADES:
        columns["trade_id"] = [None if each is None else str(each) for each in columns["trade_id"]]
        columns["buyer_is_maker"] = [{"S": True, "B": False}.get(each) for each in columns["buyer_is_maker"]]
    return columns


def _conditions(dataset: str, rows: list[Any]) -> pa.Array:
    """Return the words of rows. The codes are those of the row's tape; without a tape they are words already."""
    codes = [("@" if code == " " else code for code in row.get("c") or ()) for row in rows]
    joined = pa.array([WORD_SEPARATOR.join(each) or None for each in codes], pa.string())
    tapes = pa.array([row.get("z") for row in rows], pa.string())
    cta, utp = (CONDITION_MAPS[name].translated(dataset, joined) for name in ("cta", "utp"))
    return pc.if_else(tapes.is_null(), joined, pc.if_else(pc.equal(tapes, "C"), utp, cta))


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
