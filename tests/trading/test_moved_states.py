"""Accounts of an earlier database go on with the same state, which their events give."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.trading.desks import TradingDesk, coin, prints
from trading.core.account import encoded_state
from trading.core.terms import Side
from trading.journal import state_of, states_forget
from trading.models import StateSnapshot

pytestmark = pytest.mark.system
BEFORE = [("trading", "0004_exposure")]


@pytest.mark.django_db(transaction=True)
def test_an_account_of_the_version_before_has_the_same_state(default_store: Any):
    coin()
    prints("COIN", (0, 100.0, 50))
    desk = TradingDesk()
    desk.order("COIN", Side.BUY, 3)
    prints("COIN", (2, 99.37, 50))
    desk.run()
    desk.order("COIN", Side.SELL, 1)
    text = encoded_state(desk.state).decode()
    assert desk.state.positions
    everything = MigrationExecutor(connection).loader.graph.leaf_nodes()
    accounts = MigrationExecutor(connection).migrate(BEFORE).apps.get_model("trading", "Account").objects
    try:
        accounts.update(state=text)
    finally:
        MigrationExecutor(connection).migrate(everything)
    states_forget()
    assert not StateSnapshot.objects.exists()
    assert encoded_state(state_of(desk.account)).decode() == text
    desk.check()
    prints("COIN", (4, 101.0, 50))
    desk.run()
    desk.check()
