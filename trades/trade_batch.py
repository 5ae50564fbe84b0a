"""A body of trades, decoded and checked typed in one pass. Says yes or no; `refusals` says why not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, UnsetType

from trades.datasets import TRADES
from trades.exceptions import BatchRefused
from trades.json_document import read_json
from trades.symbols import InvalidSymbol, parse_symbol
from trades.timestamps import DAY_NS, InvalidTimestamp, parse_timestamps

ROWS_LIMIT = 100_000
DATES_LIMIT = 366
LARGEST_NUMBER = 2**53
ID_LENGTH = 64
WORDS_LIMIT = 32

Price = Annotated[float, Meta(gt=0, le=LARGEST_NUMBER)]
Volume = Annotated[float, Meta(ge=0, le=LARGEST_NUMBER)]
Integer = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
Word = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]


class TypedTrade(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A row as it stands in the body. Texts are checked for their characters later, all at once."""

    timestamp: str
    symbol: str
    price: Price
    volume: Volume
    trade_id: Word | Integer | UnsetType | None = UNSET
    sequence: Integer | UnsetType | None = UNSET
    exchange: Word | UnsetType | None = UNSET
    conditions: Annotated[list[Word], Meta(max_length=WORDS_LIMIT)] | UnsetType | None = UNSET
    received_at: str | UnsetType | None = UNSET


class _Body(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    trades: list[TypedTrade]


class _LenientTrade(TypedTrade, gc=False, forbid_unknown_fields=False):
    """A row that may have further fields, which are passed over."""


class _LenientBody(msgspec.Struct, gc=False):
    trades: list[_LenientTrade]


class NotTyped(ValueError):
    """The body is not a batch of trades; only reading it again can say why."""


@dataclass(frozen=True, slots=True)
class TradeBatch:
    """Checked trades of one symbol, in the body's order, in the columns of `TRADES`."""

    symbol: str
    rows: pa.RecordBatch


_REQUIRED = ("timestamp", "symbol", "price", "volume")
_REQUIRED_TEXTS = 2
_QUOTATION_MARK = ord('"')
_OPTIONAL = ("trade_id", "sequence", "exchange", "conditions", "received_at")
_strict = msgspec.json.Decoder(_Body)
_lenient = msgspec.json.Decoder(_LenientBody)


def decode_trades(body: bytes, *, ignore_unknown: bool = False) -> TradeBatch:
    """The batch in a JSON body.

    Raises `NotTyped` if a value is wrong, `MalformedDocument` for repeated keys, `BatchRefused` if the rows are
    right one by one and not together: none, too many, of several symbols, of too many dates.
    """
    trades, is_strict = _decode(body, ignore_unknown=ignore_unknown)
    # Without escapes every key and every text is two quotation marks: a repeated key makes them too many.
    marks = int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == _QUOTATION_MARK))
    surplus = marks - 2 * (1 + (len(_REQUIRED) + _REQUIRED_TEXTS) * len(trades))
    optional = {name: list(map(attrgetter(name), trades)) for name in _OPTIONAL} if surplus else {}
    surplus -= 2 * sum(map(_keys_and_texts, optional.values()))
    if surplus or not is_strict or b"\\" in body:
        read_json(body)
    batch = _typed_batch(trades, optional)
    if any(batch.rows[name].to_numpy().max() == LARGEST_NUMBER for name in ("price", "volume")):
        _check_not_rounded(read_json(body))
    return batch


def _typed_batch(trades: Sequence[TypedTrade], optional: Mapping[str, Sequence[Any]]) -> TradeBatch:
    """The batch of typed rows; optional columns that are not given are null."""
    check_size(len(trades))

    def column(name: str, build: Callable[[list[Any]], pa.Array], kind: pa.DataType) -> pa.Array:
        values = [None if value is UNSET else value for value in optional.get(name, ())]
        return build(values) if any(value is not None for value in values) else pa.nulls(len(trades), kind)

    try:
        symbol = check_symbols({trade.symbol for trade in trades})
        times = parse_timestamps([trade.timestamp for trade in trades])
        check_dates(times)
        columns = [
            pa.array(times),
            pa.array(np.fromiter(map(attrgetter("price"), trades), np.float64, len(trades))),
            # minus zero is zero
            pa.array(np.fromiter(map(attrgetter("volume"), trades), np.float64, len(trades)) + 0.0),
            column("trade_id", _texts, pa.string()),
            column("sequence", _integers, pa.int64()),
            column("exchange", _texts, pa.string()),
            column("conditions", _words, pa.string()),
            column("received_at", _times, pa.int64()),
        ]
    except (InvalidSymbol, InvalidTimestamp) as error:
        raise NotTyped(str(error)) from error
    return TradeBatch(symbol, pa.record_batch(columns, schema=TRADES.schema))


def _check_not_rounded(document: Any) -> None:
    """Refuse integers that came down to the largest number only by becoming floats."""
    for row in document["trades"]:
        if any(isinstance(row[name], int) and row[name] > LARGEST_NUMBER for name in ("price", "volume")):
            raise NotTyped("a number is over 2^53")


def check_size(rows: int) -> None:
    """Refuse a batch without rows, or with too many."""
    if not rows:
        raise BatchRefused("empty_batch", "the list of trades is empty")
    if rows > ROWS_LIMIT:
        raise BatchRefused("too_many_rows", f"a batch has at most {ROWS_LIMIT:,} rows; this one has {rows:,}")


def check_symbols(spellings: Iterable[str]) -> str:
    """The one symbol that all spellings mean. Raises `InvalidSymbol`, and `BatchRefused` if there are several."""
    symbols = sorted({parse_symbol(spelling) for spelling in spellings})
    if len(symbols) > 1:
        named = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
        raise BatchRefused("mixed_symbols", f"a batch is of one symbol; this one has {named}")
    return symbols[0]


def check_dates(times: Any) -> None:
    """Refuse a batch whose event times (int64 ns) lie on too many UTC dates."""
    dates = (
        len(np.unique(times // DAY_NS)) if times.max() // DAY_NS - times.min() // DAY_NS >= DATES_LIMIT else 1
    )
    if dates > DATES_LIMIT:
        raise BatchRefused(
            "too_many_dates", f"a batch touches at most {DATES_LIMIT} dates; this one has {dates}"
        )


def is_plain(text: str) -> bool:
    """Whether a text may name an id, an exchange or a condition: visible ASCII, no spaces."""
    return text.isascii() and text.isprintable() and " " not in text


def _decode(body: bytes, *, ignore_unknown: bool) -> tuple[Sequence[TypedTrade], bool]:
    """The rows, and whether every key in the body is one that is known."""
    try:
        return _strict.decode(body).trades, True
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not ignore_unknown:
            raise NotTyped(str(error)) from error
    try:
        return _lenient.decode(body).trades, False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotTyped(str(error)) from error


def _keys_and_texts(values: Sequence[Any]) -> int:
    """How many keys and texts an optional column's values stand for in the body."""
    given = [value for value in values if value is not UNSET]
    texts = sum(len(value) if isinstance(value, list) else isinstance(value, str) for value in given)
    return len(given) + texts


def _texts(values: Sequence[str | int | None]) -> pa.Array:
    """A string column. Raises `NotTyped` for what is not visible ASCII."""
    try:
        column = pa.array([str(value) if isinstance(value, int) else value for value in values], pa.string())
    except UnicodeEncodeError as error:
        raise NotTyped("a text has half of a surrogate pair") from error
    characters = np.frombuffer(column.buffers()[2], dtype=np.uint8)
    if characters.size and (characters.min() <= ord(" ") or characters.max() > ord("~")):
        raise NotTyped("a text is not visible ASCII")
    return column


def _words(values: Sequence[list[str] | None]) -> pa.Array:
    """A column of words joined by semicolons; null where there are none."""
    if any(";" in word for words in values if words for word in words):
        raise NotTyped("a condition has a semicolon")
    return _texts([";".join(words) if words else None for words in values])


def _integers(values: Sequence[int | None]) -> pa.Array:
    return pa.array(values, pa.int64())


def _times(values: Sequence[str | None]) -> pa.Array:
    instants = iter(parse_timestamps([text for text in values if text is not None]).tolist())
    return pa.array([None if text is None else next(instants) for text in values], pa.int64())
