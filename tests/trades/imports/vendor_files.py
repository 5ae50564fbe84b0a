"""Rows of our own, written as vendors document their files."""

import csv
import datetime as dt
import gzip
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn
import orjson
import pyarrow as pa

from store.timestamps import format_timestamp, parse_timestamp

NINE_THIRTY = parse_timestamp("2025-01-02T14:30:00Z")
MINUTE = 60 * 10**9
SYMBOLS = ("AAPL", "BRK.B")
IDS = {"AAPL": 7, "BRK.B": 11}
CODES = (("@", "I"), ("F",), ("T", "I"), ())
WORDS = ("regular;odd_lot", "intermarket_sweep", "extended_hours;odd_lot", None)
NUMBERS = {"@": "0", "I": "37", "F": "14", "T": "12"}
Row = dict[str, Any]
# Its stubs call the members of its enumerations texts.
dbn: Any = databento_dbn


def trades(count: int = 40) -> list[Row]:
    """Trades of both symbols: by symbol, then by time. Their sequence is also their id."""
    return [
        {
            "symbol": symbol,
            "time": NINE_THIRTY + number * 1_234_567_891,
            "price": round(189.98 + number / 100, 2),
            "volume": float(100 + number),
            "sequence": 1000 + number,
            "codes": CODES[number % 4],
            "conditions": WORDS[number % 4],
        }
        for symbol in SYMBOLS
        for number in range(count)
    ]


def bars(count: int = 5) -> list[Row]:
    return [
        {
            "symbol": symbol,
            "time": NINE_THIRTY + number * MINUTE,
            "open": 190.0,
            "high": 190.5 + number,
            "low": 189.25,
            "close": 190.25,
            "volume": 1000.0 + number,
            "trade_count": 10 + number,
            "vwap": 190.1234,
        }
        for symbol in SYMBOLS
        for number in range(count)
    ]


def quotes(count: int = 20) -> list[Row]:
    """Quotes; each fifth has no bid."""
    return [
        {
            "symbol": symbol,
            "time": NINE_THIRTY + number * 10**9,
            "bid": None if number % 5 == 4 else 189.97,
            "bid_size": 0.0 if number % 5 == 4 else 200.0,
            "ask": 190.01,
            "ask_size": 300.0 + number,
            "sequence": 50 + number,
        }
        for symbol in SYMBOLS
        for number in range(count)
    ]


def csv_file(path: Path, header: str, rows: Iterable[Sequence[Any]]) -> Path:
    """Write CSV, compressed if the name ends with `.gz` or `.zst`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    content = text.getvalue().encode()
    if path.name.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as target:
            target.write(content)
    else:
        path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def polygon_trades(path: Path, rows: Sequence[Row], corrections: Sequence[int] = ()) -> Path:
    header = "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,trf_id,trf_timestamp"
    lines = [
        (
            row["symbol"], ",".join(NUMBERS[code] for code in row["codes"]), 8 if number in corrections else 0, 4 + number % 2 * 6,
            row["sequence"], row["time"] - 5, row["price"], row["sequence"], row["time"], int(row["volume"]), 1, (1 - number % 2) * 202, 0,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    return csv_file(path, header, lines)


def polygon_quotes(path: Path, rows: Sequence[Row]) -> Path:
    header = "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp"
    lines = [
        (
            row["symbol"], 11, row["ask"], row["ask_size"], 12, row["bid"] or 0, row["bid_size"], "1", "", row["time"],
            row["sequence"], row["time"], 1, 0,
        )
        for row in rows
    ]  # fmt: skip
    return csv_file(path, header, lines)


def polygon_bars(path: Path, rows: Sequence[Row]) -> Path:
    names = ("symbol", "volume", "open", "close", "high", "low", "time", "trade_count")
    lines = ([row[name] for name in names] for row in rows)
    return csv_file(path, "ticker,volume,open,close,high,low,window_start,transactions", lines)


def _px(price: float | None) -> int:
    return dbn.UNDEF_PRICE if price is None else round(price * 10**9)


def dbn_bytes(schema: str, rows: Sequence[Row]) -> bytes:
    """Encode rows by Databento's own library, in order of time."""
    interval = {"start_date": dt.date(2025, 1, 2), "end_date": dt.date(2025, 1, 3)}
    mappings: Any = [
        SimpleNamespace(raw_symbol=symbol, intervals=[SimpleNamespace(**interval, symbol=str(number))])
        for symbol, number in IDS.items()
    ]
    head = dbn.Metadata(
        dataset="XNAS.ITCH", start=NINE_THIRTY, stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
        schema=dbn.Schema.from_str(schema), symbols=[*IDS], mappings=mappings,
    )  # fmt: skip
    records = [_record(schema, row) for row in sorted(rows, key=lambda row: row["time"])]
    return bytes(head) + b"".join(bytes(record) for record in records)


def _record(schema: str, row: Row) -> Any:
    common: Row = {"publisher_id": 2, "instrument_id": IDS[row["symbol"]], "ts_event": row["time"]}
    if schema.startswith("ohlcv"):
        prices = {name: _px(row[name]) for name in ("open", "high", "low", "close")}
        return dbn.OHLCVMsg(rtype=dbn.RType.OHLCV_1M, **common, **prices, volume=int(row["volume"]))
    event = {**common, "depth": 0, "ts_recv": row["time"] + 9, "sequence": row["sequence"], "flags": 130}
    if schema == "trades":
        side = dbn.Side.ASK if row["sequence"] % 2 else dbn.Side.BID
        return dbn.TradeMsg(
            **event, price=_px(row["price"]), size=int(row["volume"]), action=dbn.Action.TRADE, side=side
        )
    level = dbn.BidAskPair(
        bid_px=_px(row["bid"]),
        ask_px=_px(row["ask"]),
        bid_sz=int(row["bid_size"]),
        ask_sz=int(row["ask_size"]),
    )
    return dbn.MBP1Msg(
        **event,
        price=dbn.UNDEF_PRICE,
        size=0,
        action=dbn.Action.ADD,
        side=dbn.Side.NONE,
        levels=level,
    )


def dbn_file(path: Path, schema: str, rows: Sequence[Row]) -> Path:
    """Write DBN, compressed if the name ends with `.zst`; as CSV, Databento's library writes it."""
    content = dbn_bytes(schema, rows)
    if ".csv" in path.name:
        is_pretty, text = "pretty" in path.name, io.BytesIO()
        transcoder = dbn.Transcoder(
            text,
            dbn.Encoding.CSV,
            dbn.Compression.NONE,
            pretty_px=is_pretty,
            pretty_ts=is_pretty,
            map_symbols=True,
        )
        transcoder.write(content)
        transcoder.flush()
        content = text.getvalue()
    if path.name.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as target:
            target.write(content)
    else:
        path.write_bytes(content)
    return path


def alpaca_csv(path: Path, kind: str, rows: Sequence[Row]) -> Path:
    """As `.df.to_csv` of Alpaca's Python library writes it."""
    if kind == "trades":
        header = "symbol,timestamp,exchange,price,size,id,conditions,tape"
        lines: Iterable[Sequence[Any]] = (
            (
                row["symbol"],
                _pandas_time(row),
                "V",
                row["price"],
                row["volume"],
                row["sequence"],
                [*row["codes"]],
                "C",
            )
            for row in rows
        )
    elif kind == "bars":
        header = "symbol,timestamp,open,high,low,close,volume,trade_count,vwap"
        names = ("open", "high", "low", "close", "volume")
        lines = (
            (
                row["symbol"],
                _pandas_time(row),
                *(row[name] for name in names),
                float(row["trade_count"]),
                row["vwap"],
            )
            for row in rows
        )
    else:
        header = (
            "symbol,timestamp,bid_exchange,bid_price,bid_size,ask_exchange,ask_price,ask_size,conditions,tape"
        )
        lines = (
            (
                row["symbol"],
                _pandas_time(row),
                "V",
                row["bid"] or 0.0,
                row["bid_size"],
                "N",
                row["ask"],
                row["ask_size"],
                ["R"],
                "C",
            )
            for row in rows
        )
    return csv_file(path, header, lines)


def _pandas_time(row: Row) -> str:
    return format_timestamp(row["time"]).replace("T", " ").replace("Z", "+00:00")


def alpaca_json(path: Path, kind: str, rows: Sequence[Row]) -> Path:
    """An answer of the API for several symbols."""
    by_symbol: dict[str, list[Row]] = {}
    for row in rows:
        by_symbol.setdefault(row["symbol"], []).append(
            {"t": format_timestamp(row["time"]), **_short(kind, row)}
        )
    path.write_bytes(orjson.dumps({kind: by_symbol, "next_page_token": None}))
    return path


def _short(kind: str, row: Row) -> Row:
    if kind == "trades":
        codes = {"c": [*row["codes"]], "z": "C", "i": row["sequence"], "x": "V"}
        return {"p": row["price"], "s": int(row["volume"]), **codes}
    if kind == "bars":
        names = {
            "o": "open",
            "h": "high",
            "l": "low",
            "c": "close",
            "v": "volume",
            "n": "trade_count",
            "vw": "vwap",
        }
    else:
        names = {"bp": "bid", "bs": "bid_size", "ap": "ask", "as": "ask_size"}
    return {short: row[name] or 0 for short, name in names.items()}
