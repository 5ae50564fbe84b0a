"""Random histories of an account, with what a naive computation needs to report them."""

import random
from dataclasses import dataclass, field
from fractions import Fraction

from tests.trading.desks import at_ns
from tests.trading.recorded import RecordedAccount, decimal
from trading.core.configuration import Zone
from trading.core.events import Event, Marked, Reference, RowRef, SplitApplied, decoded
from trading.journal import state_of
from trading.models import EventRow

SYMBOLS, STRATEGIES = ("AAA", "BBB", "CCC"), ("", "fast", "slow")
DAY = 86_400


@dataclass
class History:
    """An account over some days. steps: (instant, equity, exposure) after each event that changes one of them.

    fills: (instant, symbol, strategy, value).
    """

    account: RecordedAccount
    seed: int
    seconds: int = 0
    steps: list[tuple[int, Fraction, Fraction]] = field(default_factory=list)
    fills: list[tuple[int, str, str, Fraction]] = field(default_factory=list)
    held: dict[tuple[str, str], Fraction] = field(default_factory=dict)
    prices: dict[tuple[str, str], Fraction] = field(default_factory=dict)
    equity: Fraction = Fraction(0)

    def run(self, steps: int) -> "History":
        chance = random.Random(self.seed)
        self.transfer(10_000)
        for _ in range(steps):
            self.seconds += chance.choice([0, 1, 60, 3_600, DAY // 2, 2 * DAY])
            step = chance.randrange(10)
            if step < 6:
                self.trade(chance)
            elif step < 9:
                self.mark(chance)
            elif chance.random() < 0.5:
                self.transfer(chance.choice([500, -100]))
            else:
                self.split(chance.choice(SYMBOLS), chance.choice([2, 4]))
        return self

    def note(self) -> None:
        exposure = sum((abs(units) * self.prices[book] for book, units in self.held.items()), Fraction(0))
        self.steps.append((at_ns(self.seconds), self.equity, exposure))

    def transfer(self, amount: int) -> None:
        self.account.transfer(amount, seconds=self.seconds)
        self.equity += amount
        self.note()

    def trade(self, chance: random.Random) -> None:
        book = chance.choice(SYMBOLS), chance.choice(STRATEGIES)
        units, price = chance.choice([-3, -2, -1, 1, 2, 3]), chance.randrange(90, 110)
        side = "buy" if units > 0 else "sell"
        order_id = self.account.order(
            book[0],
            side,
            abs(units),
            seconds=self.seconds,
            strategy=book[1],
            stop_loss=chance.choice([80, 85]),
        )
        self.account.fill(order_id, abs(units), price, seconds=self.seconds)
        self.held[book] = self.held.get(book, Fraction(0)) + units
        self.prices[book] = Fraction(price)
        self.fills.append((at_ns(self.seconds), *book, Fraction(abs(units) * price)))
        self.note()

    def mark(self, chance: random.Random) -> None:
        symbols = sorted({position.symbol for position in self.state.positions.values()})
        marks = {symbol: chance.randrange(90, 110) for symbol in symbols}
        self.equity = Fraction(chance.randrange(8_000, 12_000))
        references = tuple(
            Reference(symbol=symbol, price=decimal(price), rate=decimal(1)) for symbol, price in marks.items()
        )
        marked = Marked(equity=decimal(int(self.equity)), marks=references, zone=Zone.NORMAL)
        self.account.record(marked, seconds=self.seconds)
        for book in self.held:
            if book[0] in marks:
                self.prices[book] = Fraction(marks[book[0]])
        self.note()

    def split(self, symbol: str, ratio: int) -> None:
        action = RowRef(dataset="corporate_actions", symbol=symbol, commit="1-ab", ordinal=0, timestamp_ns=0)
        event = SplitApplied(
            symbol=symbol, ratio=decimal(ratio), effective_ns=at_ns(self.seconds) + 1, action=action
        )
        self.account.record(event, seconds=self.seconds)
        for book in self.held:
            if book[0] == symbol:
                self.held[book] *= ratio
                self.prices[book] /= ratio

    @property
    def state(self):
        return state_of(self.account.row)

    def events(self) -> list[tuple[int, Event]]:
        rows = EventRow.objects.filter(account=self.account.row).order_by("number")
        return [(row.at_ns, decoded(row.body)) for row in rows]

    def weighted(self, since_ns: int, until_ns: int) -> dict[str, Fraction]:
        """Mean equity, mean and largest exposure in per cent, and time in the market, step by step."""
        ends = [at for at, _, _ in self.steps[1:]] + [until_ns]
        spans = [
            (min(end, until_ns) - max(at, since_ns), equity, exposure)
            for (at, equity, exposure), end in zip(self.steps, ends, strict=True)
        ]
        spans = [each for each in spans if each[0] > 0]
        total = sum(span for span, _, _ in spans)
        return {
            "equity": sum(span * equity for span, equity, _ in spans) / Fraction(total),
            "mean": sum(span * 100 * exposure / equity for span, equity, exposure in spans) / Fraction(total),
            "largest": max(100 * exposure / equity for _, equity, exposure in spans),
            "in_market": Fraction(sum(span for span, _, exposure in spans if exposure), total),
        }
