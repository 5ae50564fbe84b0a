"""Strategies that decide by what was known only later are found at the right decision; honest ones are not."""

from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from store import open_store
from store.timestamps import MINUTE_NS
from tests.trading.strategies.honest import HONEST, PRICES, VOLUMES, Honest
from tests.trading.strategies.late_rows import MINUTES, LatePrint, X, market
from tests.trading.strategies.leaks import LEAKS, Beating, Keeping, Leak
from tests.trading.strategies.past import START_NS, inputs_of
from trading.strategies import catalogue
from trading.strategies.honesty import Decision, Honesty, honesty_of
from trading.strategies.strategy import Bar

pytestmark = pytest.mark.system


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def find(case: Leak | Honest) -> Honesty:
        monkeypatch.setitem(catalogue.SHIPPED, "tested", case.strategy)
        monkeypatch.setattr(case.strategy, "name", "tested", raising=False)
        monkeypatch.setattr(Keeping, "kept", {})
        parameters = case.parameters if isinstance(case, Honest) else {}
        inputs = inputs_of("tested", *case.symbols, minutes=MINUTES, parameters=parameters)
        inputs = msgspec.structs.replace(inputs, start_ns=START_NS + case.start * MINUTE_NS)
        return honesty_of(inputs, market(tmp_path / "data", case.later))

    return find


def decided(decision: Decision) -> str:
    order = decision.order
    if order is None:
        return f"cancel {decision.cancelled}"
    prices = {"limit": order.limit_price, "stop": order.stop_loss}
    shown = "".join(f", {name} {price.normalize():f}" for name, price in prices.items() if price is not None)
    return f"{order.side} {order.quantity.normalize():f} {order.symbol}{shown}"


class Opening(Beating):
    """Opens the store itself and reads the bar that it was just shown, as it is known today."""

    path: ClassVar[Path]

    def knows(self, bar: Bar) -> bool:
        read = open_store(self.path).bars(X, bar.start_ns, bar.end_ns, MINUTE_NS, session="utc")
        return float(read.close[0]) > 100.5


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_found_at_its_decision(run, leak: str):
    found = run(LEAKS[leak])
    assert found.first is not None
    decision = found.first[LEAKS[leak].by_then]
    assert decision is not None
    assert (decision.at_ns, decided(decision)) == (LEAKS[leak].at_ns, LEAKS[leak].decided)
    assert found.same == LEAKS[leak].same
    assert found.unknowable == found.equity_now - found.equity_then


def test_a_strategy_that_opens_the_store_itself_is_not_found(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The documented limit: it buys in both runs by a print that came an hour later."""
    monkeypatch.setattr(Opening, "path", tmp_path / "data", raising=False)
    by_the_time_alone = run(Leak(Beating, ())).same
    (tmp_path / "data").rename(tmp_path / "without")
    cheated = run(Leak(Opening, LEAKS["a late close"].later))
    assert (cheated.first, cheated.unknowable) == (None, 0)
    assert cheated.same == by_the_time_alone + 1


@pytest.mark.parametrize("leak", [each for each in LEAKS if LEAKS[each].strategy is not Keeping])
def test_the_same_is_clean_if_it_was_known_in_time(run, leak: str):
    in_time = tuple(each._replace(late_ns=0) for each in LEAKS[leak].later if isinstance(each, LatePrint))
    assert run(LEAKS[leak]._replace(later=in_time)).first is None


@pytest.mark.parametrize("honest", HONEST)
def test_what_needs_nothing_late_is_clean(run, honest: str):
    found = run(HONEST[honest])
    assert found.first is None
    assert found.same > 3


@pytest.mark.parametrize("later", [VOLUMES, PRICES], ids=["volumes", "prices"])
def test_bars_of_the_honest_ones_were_known_otherwise(tmp_path: Path, later):
    reader, end_ns = market(tmp_path / "data", later), START_NS + MINUTES * MINUTE_NS
    now, then = (
        reader.bars(X, START_NS, end_ns, MINUTE_NS, session="utc", knowledge=each) for each in ("now", "then")
    )
    columns = (now.volume, then.volume) if later is VOLUMES else (now.close, then.close)
    assert sum(one != other for one, other in zip(*(each.tolist() for each in columns), strict=True)) > 20
