"""Aggregates of trades, made on the shards: the same as the kernel makes of rows, bit by bit.

A shard makes one aggregate per interval of at most a minute; longer ones are merged of these. Where a row was corrected, and
where the order of the first or last prints of one instant cannot be told on the shard, the interval is made of its rows.

Sums are exact because each value is split into parts on grids (see `store.bars.exact_sums`). The grids are chosen by the
largest and the smallest bits of all values, which the commits' parts have.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers, Mask
from store.bars.aggregates import NO_AGGREGATES, Aggregates
from store.bars.exact_sums import combined
from store.bars.prints import NO_SEQUENCE
from store.clickhouse.row_tables import RowTables, SeenRows
from store.timestamps import MINUTE_NS, SECOND_NS

# Of a key's 64 bits. The others have the time within the interval.
_KEY_BITS = 64
_DIGITS = 53
_MOST_GRIDS = 4
_LARGEST_EXPONENT = 900
# So many values can be added on a grid. An interval with more is made of its rows.
_CARRY_DIGITS = 20


class BitRange(NamedTuple):
    """The bits of some numbers: all are below 2^`above` and multiples of 2^`lowest`."""

    above: int
    lowest: int

    @classmethod
    def of(cls, values: Floats) -> BitRange:
        """Return the range of numbers, of which none is infinite; `NO_BITS` if all are zero."""
        values = np.abs(values[values != 0.0])
        if not len(values):
            return NO_BITS
        mantissas, exponents = np.frexp(values)
        bits = np.ldexp(mantissas, _DIGITS).astype(np.int64)
        lowest = np.log2((bits & -bits).astype(np.float64)).astype(np.int64)
        return cls(int(exponents.max()), int((exponents - _DIGITS + lowest).min()))

    def shifts(self) -> list[float] | None:
        """Return the numbers that round to each grid but the finest, the coarsest first; None if there are too many."""
        shifts, above = list[float](), self.above
        if above > _LARGEST_EXPONENT:
            return None
        while above + _CARRY_DIGITS - _DIGITS > self.lowest:
            step = above + _CARRY_DIGITS - _DIGITS
            shifts.append(math.ldexp(1.5, 52 + step))
            above = step
            if len(shifts) == _MOST_GRIDS:
                return None
        return shifts

    def joined(self, other: BitRange) -> BitRange:
        """Return the range of all numbers of both."""
        if NO_BITS in {self, other}:
            return other if self == NO_BITS else self
        return BitRange(max(self.above, other.above), min(self.lowest, other.lowest))


NO_BITS = BitRange(0, 0)


def level_of(interval_ns: int) -> int | None:
    """Return the interval for which shards make aggregates; None if they cannot."""
    if interval_ns <= MINUTE_NS:
        return interval_ns
    return next((level for level in (MINUTE_NS, SECOND_NS) if interval_ns % level == 0), None)


@dataclass(frozen=True, slots=True)
class ShardQuery:
    """Aggregates of a level of the rows that a condition names.

    arrivals: the number of the log's rows, which is above all of `_order`. volumes, notionals: the bits of all of them. has_sequences: whether any row has
    a sequence number.
    """

    stored: SeenRows
    where: str
    level_ns: int
    arrivals: int
    volumes: BitRange
    notionals: BitRange
    has_sequences: bool

    @property
    def shift(self) -> int:
        """The number of a key's bits for what tells apart prints of one instant."""
        return _KEY_BITS - max((self.level_ns - 1).bit_length(), 1)

    def run(self, tables: RowTables) -> tuple[Aggregates, Integers, int] | None:
        """Return the aggregates by time, the intervals that must be made of rows, which they lack, and the number of rows.

        None if all must be made of rows.
        """
        volumes, notionals = self.volumes.shifts(), self.notionals.shifts()
        if self.arrivals >> self.shift or volumes is None or notionals is None:
            return None
        sums = _grid_sums("volume", volumes), _grid_sums("price * volume", notionals)
        names = [*self._names(), *(name for each in sums for name in each)]
        found = tables.aggregates(self.stored, self.where, names, "bar")
        if not len(found[0]):
            return NO_AGGREGATES, np.empty(0, np.int64), 0
        order = np.argsort(found[0], kind="stable")
        columns = [each[order] for each in found]
        made, is_certain = self._aggregates(columns, len(sums[0]))
        return made[is_certain], made.time[~is_certain], int(made.price_count.sum())

    def _names(self) -> Iterator[str]:
        yield f"intDiv(timestamp, {self.level_ns}) AS bar"
        offset = f"bitShiftLeft(toUInt64(timestamp - bar * {self.level_ns}), {self.shift})"
        yield f"min({offset} + toUInt64(_order) AS key)"
        yield from ("max(key)", "argMin(price, key)", "argMax(price, key)")
        yield from ("max(price)", "min(price)", "count()", "max(_commit)")
        if self.has_sequences:
            mask = 2**self.shift - 1
            yield from ("argMin(sequence, key)", "argMax(sequence, key)", "min(sequence)", "max(sequence)")
            yield f"min({offset} + toUInt64(bitAnd(sequence, {mask})) AS ranked)"
            yield "max(ranked)"

    def _aggregates(self, columns: Sequence[Any], volumes: int) -> tuple[Aggregates, Mask]:
        interval, first, last, open_, close, high, low, count, newest, *others = columns
        time = interval.astype(np.int64) * self.level_ns
        sequences, is_certain = (np.full(len(time), NO_SEQUENCE),) * 2, count < 2**_CARRY_DIGITS
        if self.has_sequences:
            sequences = (others[0], others[1])
            is_certain &= self._is_certain(others[:6])
            others = others[6:]
        volume, notional = combined(others[:volumes]), combined(others[volumes:])
        (first_time, first_arrival), (last_time, last_arrival) = map(self._parts_of, (first, last))
        counts = count.astype(np.int64)
        made = Aggregates(
            time=time,
            first_time=time + first_time,
            first_sequence=sequences[0],
            first_arrival=first_arrival,
            open=open_,
            last_time=time + last_time,
            last_sequence=sequences[1],
            last_arrival=last_arrival,
            close=close,
            high=high,
            low=low,
            volume=volume.total,
            volume_mid=volume.middle,
            volume_low=volume.low,
            notional=notional.total,
            notional_mid=notional.middle,
            notional_low=notional.low,
            price_count=counts,
            trade_count=counts,
            newest=newest.astype(np.int64),
        )
        return made, is_certain

    def _parts_of(self, keys: Any) -> tuple[Integers, Integers]:
        """Return the time within the interval and the `_order` of keys."""
        shift, mask = np.uint64(self.shift), np.uint64(2**self.shift - 1)
        return (keys >> shift).astype(np.int64), (keys & mask).astype(np.int64)

    def _is_certain(self, sequences: Sequence[Any]) -> Mask:
        """Return a mask of the intervals whose first print by arrival is also the first by sequence, and the last.

        Keys have only the arrival. The first print of an instant by arrival is the first one if it has the instant's
        smallest sequence, too. Of sequences only some bits are compared, so that all must have the other bits in common.
        """
        own_first, own_last, smallest, largest, first_ranked, last_ranked = sequences
        mask = np.uint64(2**self.shift - 1)
        is_equal: Mask = smallest == largest
        has_common = (smallest >> self.shift) == (largest >> self.shift)
        is_first = (first_ranked & mask) == (own_first.astype(np.uint64) & mask)
        is_last = (last_ranked & mask) == (own_last.astype(np.uint64) & mask)
        is_certain: Mask = is_equal | (has_common & is_first & is_last)
        return is_certain


def _grid_sums(value: str, shifts: Sequence[float]) -> list[str]:
    """Return SQL for the sums of a value's parts on each grid."""
    sums, rest = list[str](), value
    for shift in shifts:
        # The text of a number is not read exactly.
        number = f"reinterpretAsFloat64(unhex('{struct.pack('<d', shift).hex()}'))"
        part = f"(({rest} + {number}) - {number})"
        sums.append(f"sum({part})")
        rest = f"({rest} - {part})"
    return [*sums, f"sum({rest})"]


def bits_of(rows: pa.Table) -> tuple[BitRange, BitRange]:
    """Return the bits of the volumes and notionals of trades."""
    price, volume = (rows.column(name).to_numpy() for name in ("price", "volume"))
    return BitRange.of(volume), BitRange.of(price * volume)
