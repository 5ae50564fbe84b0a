"""Alpaca's portfolio history: a transfer is neither profit nor loss, whatever order marks and transfers came in."""

from decimal import Decimal
from typing import Any

import pytest

from store.timestamps import SECOND_NS
from tests.api_client import Api
from tests.dialects.test_trading import Caller
from tests.trading.calls import CallDesk
from tests.trading.desks import BEGIN_NS, FREE
from tests.trading.recorded import record_events
from trading.core.configuration import Zone
from trading.core.events import Marked, Transferred
from trading.core.terms import AccountKind
from trading.journal import state_of
from trading.models import Account
from trading.selectors import account_valued
from trading.services.accounts import account_create, account_transfer

PERIODS = [
    "period=1D&timeframe=1Min&intraday_reporting=continuous",
    "period=1W&timeframe=15Min",
    "period=1M&timeframe=1D",
    "period=all",
]


@pytest.fixture
def desk(api: Api) -> CallDesk:
    return CallDesk()


def opened(name: str = "NEW") -> Caller:
    account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="test", config=FREE)
    return Caller(accounts=(name,))


def profits(call: Caller, query: str) -> list[float]:
    history = call("GET", f"/account/portfolio/history?{query}")
    assert history["equity"]
    profit: list[float] = history["profit_loss"]
    return profit


class TestTransfers:
    @pytest.mark.parametrize("query", PERIODS)
    def test_a_deposit_booked_before_an_earlier_mark_is_no_loss(self, desk: CallDesk, query: str) -> None:
        """The engine's clock may be behind the deposit's."""
        call = opened()
        deposit = Transferred(transfer="first", amount=Decimal(50_000), equity=Decimal(0))
        mark = Marked(equity=Decimal(50_000), marks=(), zone=Zone.NORMAL, day="2025-06-05")
        record_events("NEW", deposit, at_ns=BEGIN_NS)
        record_events("NEW", mark, at_ns=BEGIN_NS - SECOND_NS // 100)
        assert set(profits(call, query)) == {0.0}

    @pytest.mark.parametrize("query", PERIODS)
    @pytest.mark.parametrize("amount", [50_000, -20_000])
    def test_a_transfer_between_two_marks_is_no_profit(self, api: Api, query: str, amount: int) -> None:
        desk, call = CallDesk(kind=AccountKind.CASH), Caller()
        desk.buy(4)
        for seconds, price in ((90, 200.0), (200, 250.0)):
            desk.print(seconds, price)
            account_transfer(name="ACC", transfer=f"at {seconds}", amount=Decimal(amount))
        gained = float(account_valued(desk.account).equity or 0) - 100_000 - 2 * amount
        assert profits(call, query)[-1] == pytest.approx(gained)

    def test_a_deposit_after_the_first_mark_is_no_profit(self, desk: CallDesk) -> None:
        call = opened()
        mark = Marked(equity=Decimal(0), marks=(), zone=Zone.NORMAL, day="2025-06-05")
        deposit = Transferred(transfer="first", amount=Decimal(50_000), equity=Decimal(0))
        record_events("NEW", mark, at_ns=BEGIN_NS - SECOND_NS)
        record_events("NEW", deposit, at_ns=BEGIN_NS)
        history = call("GET", f"/account/portfolio/history?{PERIODS[0]}")
        assert history["base_value"] == 0
        assert (history["equity"][-1], history["profit_loss"][-1]) == (50_000, 0)


@pytest.mark.parametrize("query", PERIODS)
def test_an_account_without_marks_has_the_point_of_now(desk: CallDesk, query: str) -> None:
    history = opened()("GET", f"/account/portfolio/history?{query}")
    assert (history["equity"], history["profit_loss"], history["base_value"]) == ([0], [0], 0)


def test_no_account_is_marked_before_it_was_created(desk: CallDesk) -> None:
    call = opened()
    mark = Marked(equity=Decimal(0), marks=(), zone=Zone.NORMAL, day="2025-06-05")
    record_events("NEW", mark, at_ns=BEGIN_NS - SECOND_NS)
    assert state_of(Account.objects.get(name="NEW")).marked_ns < BEGIN_NS
    document: Any = call.api.call("GET", "/api/v1/accounts/NEW").json()
    assert document["marked_at"] >= document["created_at"]
