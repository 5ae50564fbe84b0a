"""The live feed's rows as Alpaca's market-data stream has them: an array of maps with one-letter names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from dialects.alpaca.market_rows import BAR_NAMES, QUOTE_NAMES, trade_number
from dialects.alpaca.symbols import ZONES, label_of
from stats.live.bar_feed import BarMessage
from stats.live.frames import Message
from stats.live.sockets import binary_frame, text_frame
from stats.market_data.query import class_of
from store.timestamps import SECOND_NS, format_timestamp
from trades.conditions.tapes import EXCHANGE_LETTERS, EXCHANGES_BY_LETTER
from trades.stores import market_store

MINUTE_BARS, DAILY_BARS = "bars.1m", "bars.1d"
MINUTE_NS = 60 * SECOND_NS
NEW_BAR, UPDATED_BAR = "b", "u"
# The client needs a letter for the exchange of a correction. This letter stands for no exchange.
_NO_EXCHANGE = "E"
_HALT_CODES = {"halted": ("H", "Trading Halt"), "resumed": ("T", "Trading Resumption")}
_TIMESTAMP = -1

Row = Mapping[str, Any]


def frame_of(*maps: Mapping[str, Any], is_packed: bool) -> bytes:
    """Return the frame with some maps. Each `t` is in nanoseconds. is_packed: MessagePack, not JSON."""
    time_of = _timestamp if is_packed else format_timestamp
    timed = [{**each, "t": time_of(each["t"])} if "t" in each else each for each in maps]
    return (
        binary_frame(msgspec.msgpack.encode(timed)) if is_packed else text_frame(msgspec.json.encode(timed))
    )


@dataclass(frozen=True, slots=True)
class StreamRows:
    """Encodes a channel's message. Connections with equal encoders share one frame.

    market_class: the path of the class whose symbols the stream has. bars: which minute bars: NEW_BAR for those that have
    become final, UPDATED_BAR for final ones that may have changed. is_packed: see `frame_of`.
    """

    market_class: str
    bars: frozenset[str] = frozenset()
    is_packed: bool = False

    def __call__(self, message: Message) -> bytes:
        """See `stats.live.frames.Encode`."""
        kind, _, symbol = message.channel.partition(":")
        document = msgspec.json.decode(message.payload)
        rows = document.get("data", ())
        if class_of(market_store().instrument(symbol).instrument_class).path != self.market_class:
            return b""
        if kind == DAILY_BARS:
            made = _daily(rows, ZoneInfo(ZONES[self.market_class]))
        elif isinstance(message, BarMessage):
            made = self._minutes(rows, message.final_until_ns)
        elif "kind" in document:
            made = _corrections(rows) if kind == "trades" else iter(())
        else:
            made = ({**_ROWS[kind](row), "t": _instant_ns(row)} for row in rows)
        named = {"S": label_of(symbol, self.market_class)}
        maps = [{**named, **each} for each in made]
        return frame_of(*maps, is_packed=self.is_packed) if maps else b""

    def _minutes(self, rows: Sequence[Row], final_until_ns: int) -> Iterator[Row]:
        for row in (each for each in rows if each.get("final")):
            start_ns = _instant_ns(row)
            letter = UPDATED_BAR if start_ns + MINUTE_NS <= final_until_ns else NEW_BAR
            if letter in self.bars:
                yield {"T": letter, **_bar(row), "t": start_ns}


def _timestamp(instant_ns: int) -> msgspec.msgpack.Ext:
    """Return MessagePack's Timestamp of an instant: its 96 bits have each instant exactly."""
    seconds, rest = divmod(instant_ns, SECOND_NS)
    return msgspec.msgpack.Ext(_TIMESTAMP, rest.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True))


def _instant_ns(row: Row) -> int:
    """Return the time of a row of the live feed. For one row, a hundred times as fast as `parse_timestamps`."""
    text: str = row["timestamp"]
    seconds = int(datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())
    return seconds * SECOND_NS + int(text[20:-1].ljust(9, "0"))


def _daily(rows: Sequence[Row], zone: ZoneInfo) -> Iterator[Row]:
    for row in rows:
        midnight = datetime.fromisoformat(row["date"]).replace(tzinfo=zone)
        yield {"T": "d", **_bar(row), "t": int(midnight.timestamp()) * SECOND_NS}


def _bar(row: Row) -> dict[str, Any]:
    values = {letter: row[name] for letter, name in BAR_NAMES.items()}
    # Its clients need a number: an unknown volume is 0.
    return {**values, "v": values["v"] or 0, "n": row["trade_count"]}


def _trade(row: Row) -> dict[str, Any]:
    exchange = row["exchange"] or ""
    return {
        "T": "t",
        "i": trade_number(row["trade_id"]),
        "x": EXCHANGE_LETTERS.get(exchange, exchange),
        "p": row["price"],
        "s": row["volume"],
        "c": row["conditions"] or [],
    }


def _quote(row: Row) -> dict[str, Any]:
    exchange = row.get("exchange") or ""
    letter = EXCHANGE_LETTERS.get(exchange, exchange)
    # Its clients need numbers: a side without a quote has 0.
    values = {letter: row[name] or 0 for letter, name in QUOTE_NAMES.items()}
    return {"T": "q", "ax": letter, "bx": letter, **values, "c": row.get("conditions") or []}


def _status(row: Row) -> dict[str, Any]:
    code, text = _HALT_CODES[row["status"]]
    return {"T": "s", "sc": code, "sm": text, "rc": row["reason"] or "", "rm": "", "z": ""}


_ROWS = {"trades": _trade, "quotes": _quote, "status": _status}


def _corrections(rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        before = _trade(row["before"])
        letter = before["x"] if before["x"] in EXCHANGES_BY_LETTER else _NO_EXCHANGE
        common = {"x": letter, "z": "", "t": _instant_ns(row["before"])}
        if row["after"] is None:
            yield {"T": "x", **{name: before[name] for name in "ips"}, "a": "C", **common}
        else:
            after = _trade(row["after"])
            original = {f"o{name}": before[name] for name in "ipsc"}
            corrected = {f"c{name}": after[name] for name in "ipsc"}
            yield {"T": "c", **original, **corrected, **common}
