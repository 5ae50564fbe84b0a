"""What made one bar, as members of the explanation's document: its prints, and the stored bars in it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from stats.market_data.ohlcv.bar_rows import vwap_of
from stats.market_data.ohlcv.explained_prints import ExplainedPrints
from store.bar_policies import BarPolicy, Effect
from store.declarations import WORD_SEPARATOR
from store.log_views.stored_bars import BarParts
from store.resolutions import Resolution
from store.timestamps import format_timestamp


@dataclass(frozen=True, slots=True)
class BarExplanation:
    """What made a bar. parts: None if there is no stored bar in it. volume: the bar's; 0 without a bar."""

    found: ExplainedPrints
    policy: BarPolicy
    parts: BarParts | None
    volume: float

    def members(self, bar: orjson.Fragment | None, listed: int) -> dict[str, Any]:
        """Return the members that depend on the policy. bar: the bar's row. listed: the maximum number of stored bars."""
        found, policy, sets = self.found, self.policy, self._set_by_prints
        return {
            "policy": policy.name,
            "bar": bar,
            "sets": {name: _print(found, policy, found.sets[name], sets) for name in sets},
            "volume": self._volumes(),
            "conditions": list(_conditions(found, policy)),
            "stored": None if self.parts is None else _stored(self.parts, listed),
        }

    def prints(self, listed: int) -> dict[str, Any]:
        """Return the interval's prints, at most `listed`, and their number."""
        rows = np.flatnonzero(self.found.own | self.found.credited)
        sets = self._set_by_prints
        prints = [_print(self.found, self.policy, row, sets) for row in rows[:listed].tolist()]
        return {"prints": prints, "prints_total": len(rows)}

    @property
    def _set_by_prints(self) -> list[str]:
        """The names of the prices that prints set."""
        by_stored = {name for names in _set_by_parts(self.parts).values() for name in names}
        return [name for name in self.found.sets if name not in by_stored]

    def _volumes(self) -> dict[str, float]:
        """Return the volume of each part; `left_out` is of the interval's own prints, `stored` of stored bars."""
        found, volume = self.found, self.found.prints.volume
        own = float(volume[found.own & found.in_volume].sum())
        credited = float(volume[found.credited].sum())
        return {
            "own": own,
            "credited": credited,
            "left_out": float(volume[found.own & ~found.in_volume].sum()),
            "stored": 0.0 if self.parts is None else self.volume - own - credited,
        }


def _set_by_parts(parts: BarParts | None) -> dict[int, list[str]]:
    """Return what stored bars set, by their index in the parts."""
    if parts is None:
        return {}
    bars = parts.bars
    places = {
        "open": 0,
        "high": int(bars.high.argmax()),
        "low": int(bars.low.argmin()),
        "close": len(bars) - 1,
    }
    by_part: dict[int, list[str]] = defaultdict(list)
    for name, place in places.items():
        if parts.is_stored[place]:
            by_part[place].append(name)
    return by_part


def _stored(parts: BarParts, listed: int) -> dict[str, Any]:
    """Return the stored bars among the parts, each with what it set."""
    sets, bars = _set_by_parts(parts), parts.bars
    vwap, resolutions = vwap_of(bars, every_print=False), list(Resolution)
    places = np.flatnonzero(parts.is_stored).tolist()
    rows = [
        {
            "timestamp": format_timestamp(int(bars.time_ns[place])),
            "resolution": resolutions[parts.rank[place]].value,
            **{
                name: float(getattr(bars, name)[place]) for name in ("open", "high", "low", "close", "volume")
            },
            "vwap": None if np.isnan(vwap[place]) else float(vwap[place]),
            "trade_count": int(count) if (count := bars.trade_count[place]) >= 0 else None,
            "sets": sets.get(place, []),
        }
        for place in places[:listed]
    ]
    return {"bars": rows, "bars_total": len(places)}


def _words(found: ExplainedPrints, row: int) -> list[str]:
    text = found.rows.column("conditions")[row].as_py()
    return text.split(WORD_SEPARATOR) if text else []


def _counts(found: ExplainedPrints, row: int) -> dict[str, bool]:
    """Return for what a print counts in this bar."""
    is_own = bool(found.own[row])
    return {
        "open_close": is_own and bool(found.prints.sets_open_close[row]),
        "high_low": is_own and bool(found.prints.sets_high_low[row]),
        "volume": bool(found.in_volume[row]),
    }


def _part(found: ExplainedPrints, row: int) -> str:
    if found.credited[row]:
        return "credited"
    return "own" if found.own[row] and any(_counts(found, row).values()) else "left_out"


def _print(found: ExplainedPrints, policy: BarPolicy, row: int, sets: Collection[str]) -> dict[str, Any]:
    """Return a print, which of `sets` it set, for what it counts, and the words that decide that."""
    values = found.rows.slice(row, 1).to_pylist()[0]
    words = _words(found, row)
    return {
        "timestamp": format_timestamp(values["timestamp"]),
        "price": values["price"],
        "volume": values["volume"],
        "trade_id": values["trade_id"],
        "exchange": values["exchange"],
        "conditions": words,
        "part": _part(found, row),
        "sets": [name for name in sets if found.sets[name] == row],
        "counts": _counts(found, row),
        "because": _deciding_words(policy, words),
    }


def _conditions(found: ExplainedPrints, policy: BarPolicy) -> Iterator[dict[str, Any]]:
    """Yield, for each distinct list of conditions of the interval's prints, how many there are and what they do."""
    own = np.flatnonzero(found.own)
    texts = found.rows.column("conditions").take(pa.array(own)).to_pylist()
    rows_by_text: dict[str, list[int]] = defaultdict(list)
    for row, text in zip(own.tolist(), texts, strict=True):
        rows_by_text[text or ""].append(row)
    for rows in rows_by_text.values():
        words = _words(found, rows[0])
        yield {
            "conditions": words,
            "prints": len(rows),
            "volume": float(found.prints.volume[rows].sum()),
            "counts": _counts(found, rows[0]),
            "because": _deciding_words(policy, words),
        }


def _deciding_words(policy: BarPolicy, words: Iterable[str]) -> dict[str, str | None]:
    """Return, for `open_close`, `high_low` and `volume`, the first word with the strongest effect; None without one.

    A word with the effect YES decides nothing.
    """
    known = [(word, policy.effects[word]) for word in words if word in policy.effects]
    deciding: dict[str, str | None] = {}
    for name in ("open_close", "high_low", "volume"):
        strongest = max(known, key=lambda each: getattr(each[1], name), default=None)
        is_yes = strongest is None or getattr(strongest[1], name) is Effect.YES
        deciding[name] = None if is_yes or strongest is None else strongest[0]
    return deciding
