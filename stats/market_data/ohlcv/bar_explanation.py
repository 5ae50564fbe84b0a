"""What made one bar: its prints, and the stored bars in it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, UnsetType

from stats.market_data.documents import Reason, ResolutionName
from stats.market_data.ohlcv.bar_rows import bar_columns, vwap_of
from stats.market_data.ohlcv.explained_prints import ExplainedPrints
from stats.market_data.ohlcv.revisions import REVISIONS
from stats.rendering.row_schema import row_of
from store.bar_policies import BarPolicy, Effect
from store.bars.bars import Bars
from store.declarations import WORD_SEPARATOR
from store.log_views.stored_bars import BarParts
from store.timestamps import format_timestamp
from web.documents import AnswerDocument, Instant, about, like

Set = Literal["open", "high", "low", "close"]
Part = Literal["own", "credited", "left_out"]
_SETS: tuple[Set, ...] = get_args(Set)
_BAR = row_of(bar_columns(has_integer_volume=True, with_date=True))


class CountsDocument(AnswerDocument):
    """For what a print counts in the bar."""

    open_close: Annotated[bool, like(True)]
    high_low: Annotated[bool, like(True)]
    volume: Annotated[bool, like(True)]


class BecauseDocument(AnswerDocument):
    """The condition word that decides each count; null if none does."""

    open_close: str | None
    high_low: str | None
    volume: str | None


class PrintDocument(AnswerDocument):
    """A print, and its part in the bar."""

    timestamp: Annotated[Instant, like("2025-01-02T14:30:00.125Z")]
    price: Annotated[float, like(189.98)]
    volume: Annotated[float, like(100.0)]
    trade_id: Annotated[str | None, like("1")]
    exchange: str | None
    conditions: Annotated[list[str], like(["regular"])]
    part: Part
    sets: list[Set]
    counts: CountsDocument
    because: BecauseDocument


class SetsDocument(AnswerDocument):
    """The prints that set the bar's prices; without those that stored bars set."""

    open: PrintDocument | UnsetType = UNSET
    high: PrintDocument | UnsetType = UNSET
    low: PrintDocument | UnsetType = UNSET
    close: PrintDocument | UnsetType = UNSET


class VolumesDocument(AnswerDocument):
    """The volume of each part."""

    own: Annotated[float, like(100.0)]
    credited: Annotated[float, like(0.0)]
    left_out: Annotated[float, about("Of the interval's own prints.", 0.0)]
    stored: Annotated[float | None, about("Of stored bars; null if the bar's is unknown.", 0.0)]


class ConditionsDocument(AnswerDocument):
    """A distinct list of conditions: how many prints of the interval have it, and what it does."""

    conditions: Annotated[list[str], like(["regular"])]
    prints: Annotated[int, like(1)]
    volume: Annotated[float, like(100.0)]
    counts: CountsDocument
    because: BecauseDocument


class StoredBarDocument(AnswerDocument):
    """A stored bar in the bar, and what it set."""

    timestamp: Annotated[Instant, like("2025-01-02T14:30:00Z")]
    resolution: ResolutionName
    open: Annotated[float, like(189.98)]
    high: Annotated[float, like(190.02)]
    low: Annotated[float, like(189.98)]
    close: Annotated[float, like(190.02)]
    volume: Annotated[float | None, like(350.0)]
    vwap: float | None
    trade_count: int | None
    sets: list[Set]


class StoredBarsDocument(AnswerDocument):
    """The stored bars in the bar."""

    bars: list[StoredBarDocument]
    bars_total: Annotated[int, like(1)]


class BarExplanationDocument(AnswerDocument):
    """What made a bar, and its changes."""

    policy: Annotated[str, like("all")]
    bar: Annotated[msgspec.Raw | None, _BAR, about("Null if there is none.")]
    sets: SetsDocument
    volume: VolumesDocument
    conditions: list[ConditionsDocument]
    stored: Annotated[StoredBarsDocument | None, about("Null if there is no stored bar in it.")]
    prints: list[PrintDocument]
    prints_total: Annotated[int, like(1)]
    symbol: Annotated[str, like("AAPL")]
    resolution: ResolutionName
    reason: Annotated[Reason | None, about("Why there is no bar; null if there is one.", "closed")]
    revisions: Annotated[
        list[Annotated[msgspec.Raw, row_of(REVISIONS.columns)]] | None,
        about("The bar's changes; null if it has none in this form."),
    ]


@dataclass(frozen=True, slots=True)
class BarExplanation:
    """What made a bar. parts: None if it is not made from stored bars. volume: the bar's; 0 without a bar, NaN if unknown."""

    found: ExplainedPrints
    policy: BarPolicy
    parts: BarParts | None
    volume: float

    def fields(self, bar: msgspec.Raw | None, listed: int) -> dict[str, Any]:
        """Return the fields of `BarExplanationDocument` but those of the query.

        bar: the bar's row. listed: the maximum number of prints, and of stored bars.
        """
        found, policy, sets = self.found, self.policy, self._set_by_prints
        rows = np.flatnonzero(found.own | found.credited)
        return {
            "policy": policy.name,
            "bar": bar,
            "sets": SetsDocument(**{name: _print(found, policy, found.sets[name], sets) for name in sets}),
            "volume": self._volumes(),
            "conditions": list(_conditions(found, policy)),
            "stored": None if self.parts is None else _stored(self.parts, listed),
            "prints": [_print(found, policy, row, sets) for row in rows[:listed].tolist()],
            "prints_total": len(rows),
        }

    @property
    def _set_by_prints(self) -> list[Set]:
        """The names of the prices that prints set."""
        return [name for name in _SETS if name in self.found.sets and self.parts is None]

    def _volumes(self) -> VolumesDocument:
        found, volume = self.found, self.found.prints.volume
        if self.parts is not None:
            return VolumesDocument(0.0, 0.0, float(volume[found.own].sum()), _number(self.volume))
        own = float(volume[found.own & found.in_volume].sum())
        credited = float(volume[found.credited].sum())
        return VolumesDocument(own, credited, float(volume[found.own & ~found.in_volume].sum()), 0.0)


def _set_by_parts(bars: Bars) -> dict[int, list[Set]]:
    """Return which of the stored bars in a bar set its prices: the prices by the bar's index."""
    places: dict[Set, int] = {
        "open": 0,
        "high": int(bars.high.argmax()),
        "low": int(bars.low.argmin()),
        "close": len(bars) - 1,
    }
    by_part: dict[int, list[Set]] = defaultdict(list)
    for name, place in places.items():
        by_part[place].append(name)
    return by_part


def _stored(parts: BarParts, listed: int) -> StoredBarsDocument:
    sets, bars = _set_by_parts(parts.bars), parts.bars
    vwap = vwap_of(bars, every_print=False)
    rows = [
        StoredBarDocument(
            format_timestamp(int(bars.time_ns[place])),
            parts.resolution.value,
            float(bars.open[place]),
            float(bars.high[place]),
            float(bars.low[place]),
            float(bars.close[place]),
            _number(bars.volume[place]),
            vwap=_number(vwap[place]),
            trade_count=int(count) if (count := bars.trade_count[place]) >= 0 else None,
            sets=sets.get(place, []),
        )
        for place in range(min(listed, len(bars)))
    ]
    return StoredBarsDocument(rows, len(bars))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _words(found: ExplainedPrints, row: int) -> list[str]:
    text = found.rows.column("conditions")[row].as_py()
    return text.split(WORD_SEPARATOR) if text else []


def _counts(found: ExplainedPrints, row: int) -> CountsDocument:
    is_own, prints = bool(found.own[row]), found.prints
    open_close, high_low = prints.sets_open_close[row], prints.sets_high_low[row]
    return CountsDocument(is_own and bool(open_close), is_own and bool(high_low), bool(found.in_volume[row]))


def _part(found: ExplainedPrints, row: int, counts: CountsDocument) -> Part:
    if found.credited[row]:
        return "credited"
    is_used = counts.open_close or counts.high_low or counts.volume
    return "own" if found.own[row] and is_used else "left_out"


def _print(found: ExplainedPrints, policy: BarPolicy, row: int, sets: Collection[Set]) -> PrintDocument:
    """Return a print, which of `sets` it set, for what it counts, and the words that decide that."""
    values = found.rows.slice(row, 1).to_pylist()[0]
    words, counts = _words(found, row), _counts(found, row)
    return PrintDocument(
        format_timestamp(values["timestamp"]),
        values["price"],
        values["volume"],
        values["trade_id"],
        values["exchange"],
        words,
        _part(found, row, counts),
        [name for name in sets if found.sets[name] == row],
        counts,
        _deciding_words(policy, words),
    )


def _conditions(found: ExplainedPrints, policy: BarPolicy) -> Iterator[ConditionsDocument]:
    """Yield, for each distinct list of conditions of the interval's prints, how many there are and what they do."""
    own = np.flatnonzero(found.own)
    texts = found.rows.column("conditions").take(pa.array(own)).to_pylist()
    rows_by_text: dict[str, list[int]] = defaultdict(list)
    for row, text in zip(own.tolist(), texts, strict=True):
        rows_by_text[text or ""].append(row)
    for rows in rows_by_text.values():
        words = _words(found, rows[0])
        volume, counts = float(found.prints.volume[rows].sum()), _counts(found, rows[0])
        yield ConditionsDocument(words, len(rows), volume, counts, _deciding_words(policy, words))


def _deciding_words(policy: BarPolicy, words: Iterable[str]) -> BecauseDocument:
    """Return for each count the first word with the strongest effect; None without one.

    A word with the effect YES decides nothing.
    """
    known = [(word, policy.effects[word]) for word in words if word in policy.effects]
    deciding: dict[str, str | None] = {}
    for name in BecauseDocument.__struct_fields__:
        strongest = max(known, key=lambda each: getattr(each[1], name), default=None)
        is_yes = strongest is None or getattr(strongest[1], name) is Effect.YES
        deciding[name] = None if is_yes or strongest is None else strongest[0]
    return BecauseDocument(**deciding)
