"""`manage.py strategy new NAME`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from trading.strategies.catalogue import SHIPPED, STRATEGY_NAME

_TEMPLATE = '''\
"""A strategy. docs/strategies.md says what it may do, and how to run it."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyParameters, StrategyState


class OwnParameters(StrategyParameters, frozen=True):
    """bars: so many closes make the mean. quantity: units of an order."""

    # `--set bars=50` changes it. Every strategy has `interval`, too: the length of a bar, 1min by default.
    bars: Annotated[int, Meta(ge=2, le=1_000)] = 20
    quantity: Decimal = Decimal(1)

    @property
    def bars_before(self) -> int:
        # So many bars from before the period are shown first, as history.
        return self.bars


class OwnState(StrategyState):
    """What it remembers between bars. The engine stores it with the orders. Each field has a default."""

    fills: int = 0


class CLASS(Strategy):
    """Holds a symbol while its close is above the mean of its last closes."""

    Parameters = OwnParameters
    State = OwnState
    parameters: OwnParameters
    state: OwnState

    def on_bar(self, bar: Bar) -> None:
        bars = self.broker.bars(bar.symbol, self.parameters.bars)
        if len(bars) < self.parameters.bars or self.broker.has_orders(bar.symbol):
            return
        mean = sum(each.close for each in bars) / len(bars)
        held = self.broker.position(bar.symbol)
        if bar.close > mean and not held:
            self.buy(bar.symbol, self.parameters.quantity)
        elif bar.close < mean and held:
            self.broker.close(bar.symbol)

    def on_fill(self, fill: OrderFill) -> None:
        self.state.fills += 1
'''


class Command(BaseCommand):
    help = "Begins a strategy of your own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        new = verbs.add_parser(
            "new", help="write a commented strategy, which runs at once, into STRATEGIES_DIR"
        )
        new.add_argument("name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        """Write the file. Raises CommandError."""
        if not STRATEGY_NAME.fullmatch(name):
            raise CommandError("a name is 1-64 of A-Z a-z 0-9 _ -, first a letter")
        if name in SHIPPED:
            raise CommandError(f"a shipped strategy has the name {name}: choose another name")
        path = Path(settings.STRATEGIES_DIR, f"{name}.py")
        class_name = "".join(f"{part[:1].upper()}{part[1:]}" for part in name.replace("-", "_").split("_"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(_TEMPLATE.replace("CLASS", f"{class_name}Strategy"))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        self.stdout.write(f"Wrote {path}. Run it:\n  .venv/bin/python manage.py backtest {name} DEMOA")
