"""In which order the orders fill that one price fills: by bars, at their open, as by prints."""

from decimal import Decimal

from tests.trading.core.paper import BY_PRINTS_AND_BARS, Paper, order_of
from trading.core.configuration import RiskConfig


@BY_PRINTS_AND_BARS
def test_at_a_price_the_limit_that_it_is_furthest_beyond_fills_first(as_bar: bool) -> None:
    """The target of a short fills before an older buy limit, which then opens a long with legs of its own."""
    paper = Paper(config=RiskConfig(participation=Decimal(100)))
    older = paper.accept(order_of(20, limit=75, stop_loss=45, take_profit=82))
    paper.accept(order_of(-40, stop_loss=98, take_profit=82), price=86)
    paper.trade_at(86, as_bar=as_bar)
    assert [int(each.quantity) for each in paper.trade_at(73, as_bar=as_bar)] == [40, 20]
    assert (paper.held(), len(paper.legs(older))) == (20, 2)


@BY_PRINTS_AND_BARS
def test_a_market_order_fills_before_a_stop_that_is_triggered_with_it(as_bar: bool) -> None:
    """An order that turns a long into a short ends the long's stop, which would make the short larger."""
    paper = Paper()
    paper.accept(order_of(40, stop_loss=95))
    paper.trade_at(100, as_bar=as_bar)
    paper.order(paper.accept(order_of(-80))).collar = None
    paper.trade_at(90, as_bar=as_bar)
    assert (paper.held(), paper.ends()) == (-40, [("cancelled", "position_closed")])
