"""What the live feed gets of accounts: orders as REST answers them, from any event on."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest

from stats.live.accounts import ALERTS_KIND, ORDERS_KIND, EventRows
from tests.chance import chosen_seed
from tests.trading.recorded import RecordedAccount
from trading.core.events import Alert
from trading.core.orders import Order
from trading.documents.orders import OrderDocument
from trading.models import OrderRow
from trading.selectors import LiveAccounts

pytestmark = pytest.mark.django_db

ALL = 10**9


@pytest.fixture
def account(default_store) -> RecordedAccount:
    return RecordedAccount(deposit=100_000)


def act(account: RecordedAccount, chance: random.Random, working: list[str]) -> None:
    """Record something: a new order, a fill, a cancel, an alert, or money."""
    choice = chance.random()
    if choice < 0.4 or not working:
        working.append(account.order("COIN", "buy", 2))
    elif choice < 0.6:
        account.fill(chance.choice(working), 0.001, 100)
    elif choice < 0.8:
        account.cancel(working.pop(chance.randrange(len(working))))
    elif choice < 0.9:
        account.record(Alert(kind="stale_mark", message="COIN has no price", symbol="COIN"))
    else:
        account.transfer(5)


def rest_orders(account: RecordedAccount) -> dict[str, dict[str, Any]]:
    orders = (msgspec.json.decode(row.document, type=Order) for row in OrderRow.objects.all())
    return {order.id: OrderDocument.of(order, account=account.name).as_json() for order in orders}


def read(feeds: LiveAccounts, *, after: int = 0, limit: int = ALL) -> Iterator[EventRows]:
    """All events of orders after a number, so many at a time."""
    while found := feeds.events("ACC", ORDERS_KIND, after=after, upto=ALL, limit=limit):
        yield from found
        after = found[-1].number


def test_orders_are_those_of_rest_after_each_event_and_from_each_number(account: RecordedAccount):
    chance, feeds, working = random.Random(chosen_seed()), LiveAccounts(), list[str]()
    known: dict[str, dict[str, Any]] = {}
    followed: list[EventRows] = []
    for _ in range(60):
        act(account, chance, working)
        after = followed[-1].number if followed else 0
        followed += read(feeds, after=after)
        for event in followed:
            assert orjson.loads(orjson.dumps(event.rows)) == event.rows
            known |= {order["id"]: order for order in event.rows}
        assert known == rest_orders(account)
    for index in range(0, len(followed), 7):
        after = followed[index].number
        assert [*read(feeds, after=after, limit=chance.choice([1, 3, 100]))] == followed[index + 1 :]
    assert [*read(LiveAccounts())] == followed


def test_the_last_event_of_a_kind_is_one_that_is_read(account: RecordedAccount):
    chance, feeds, working = random.Random(chosen_seed()), LiveAccounts(), list[str]()
    for _ in range(30):
        act(account, chance, working)
    head = feeds.head("ACC")
    assert head == account.row.number
    for kind in (ORDERS_KIND, ALERTS_KIND):
        numbers = [each.number for each in feeds.events("ACC", kind, after=0, upto=ALL, limit=ALL)]
        for upto in range(head + 1):
            assert feeds.last("ACC", kind, upto) == max((each for each in numbers if each <= upto), default=0)


def test_an_alert_has_its_kind_message_and_symbol(account: RecordedAccount):
    account.record(Alert(kind="stale_mark", message="COIN has no price", symbol="COIN"))
    (event,) = LiveAccounts().events("ACC", ALERTS_KIND, after=0, upto=ALL, limit=10)
    assert event.rows == [{"kind": "stale_mark", "message": "COIN has no price", "symbol": "COIN"}]
    assert event.number == account.row.number


def test_the_portfolio_has_the_number_of_its_newest_event(account: RecordedAccount):
    number, portfolio = LiveAccounts().portfolio("ACC")
    assert (number, portfolio["account"]) == (account.row.number, "ACC")


def test_an_account_that_does_not_exist_has_no_events(db):
    assert LiveAccounts().head("NONE") is None
