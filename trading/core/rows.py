"""Rows of the market's logs beside prints and bars, and their corrections, as the engine takes them."""

from decimal import Decimal
from typing import TypeAlias

import msgspec

from trading.core.events import BarPrint, Print, RowRef


class Quote(msgspec.Struct, frozen=True):
    """A quote.

    An absent side is None. is_eligible: whether it may be a mark: it is firm and has both sides.
    """

    ref: RowRef
    bid: Decimal | None
    ask: Decimal | None
    known_ns: int
    is_eligible: bool = True

    @property
    def middle(self) -> Decimal | None:
        """The price between the sides; None with one side."""
        return None if self.bid is None or self.ask is None else (self.bid + self.ask) / 2


class CorporateAction(msgspec.Struct, frozen=True):
    """A corporate action. date: its trading date, days since 1970. The other fields are those of the dataset."""

    ref: RowRef
    date: int
    effective_ns: int
    kind: str
    ratio: Decimal | None
    amount: Decimal | None
    currency: str | None
    known_ns: int


class StatusChange(msgspec.Struct, frozen=True):
    """A trading halt or its end, from `ref.timestamp_ns` on. status: halted or resumed."""

    ref: RowRef
    status: str
    reason: str | None
    known_ns: int


StoredRow: TypeAlias = Print | BarPrint | Quote | CorporateAction | StatusChange


class RowCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """A correction or a cancel of a row.

    ref: the correction's own. before, after: the row with its own `ref`; after a cancel None.
    """

    ref: RowRef
    action: str
    before: StoredRow
    after: StoredRow | None
    known_ns: int


MarketRow: TypeAlias = StoredRow | RowCorrection
