"""Random histories of an account."""

import random
from dataclasses import dataclass

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
    """An account over some days."""

    account: RecordedAccount
    seed: int
    seconds: int = 0

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

    def transfer(self, amount: int) -> None:
        self.account.transfer(amount, seconds=self.seconds)

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

    def mark(self, chance: random.Random) -> None:
        symbols = sorted({position.symbol for position in self.state.positions.values()})
        marks = {symbol: chance.randrange(90, 110) for symbol in symbols}
        equity = decimal(chance.randrange(8_000, 12_000))
        references = tuple(
            Reference(symbol=symbol, price=decimal(price), rate=decimal(1)) for symbol, price in marks.items()
        )
        marked = Marked(equity=equity, marks=references, zone=Zone.NORMAL)
        self.account.record(marked, seconds=self.seconds)

    def split(self, symbol: str, ratio: int) -> None:
        action = RowRef(dataset="corporate_actions", symbol=symbol, commit="1-ab", ordinal=0, timestamp_ns=0)
        event = SplitApplied(
            symbol=symbol, ratio=decimal(ratio), effective_ns=at_ns(self.seconds) + 1, action=action
        )
        self.account.record(event, seconds=self.seconds)

    @property
    def state(self):
        return state_of(self.account.row)

    def events(self) -> list[tuple[int, Event]]:
        rows = EventRow.objects.filter(account=self.account.row).order_by("number")
        return [(row.at_ns, decoded(row.body)) for row in rows]
