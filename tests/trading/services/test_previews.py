"""A preview makes one order, while nothing has changed."""

import datetime as dt
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.trading.desks import FREE, TradingDesk, at_ns, coin, prints
from trading.core.orders import OrderTerms
from trading.core.terms import Side
from trading.exceptions import PreviewExpired, PreviewStale, PreviewUsed
from trading.models import OrderRow, Preview
from trading.services.control import risk_configure
from trading.services.previews import previews_delete_old, trade_execute, trade_preview

pytestmark = pytest.mark.django_db
ORDER = OrderTerms(symbol="COIN", side=Side.BUY, quantity=Decimal(1))


@pytest.fixture
def desk(default_store: Any) -> TradingDesk:
    coin()
    prints("COIN", (0, 100.0, 10.0))
    return TradingDesk()


def previewed(desk: TradingDesk) -> Preview:
    preview = trade_preview(account=desk.account, order=ORDER, owner="key").preview
    preview.save()
    return preview


def test_a_preview_makes_one_order_and_then_names_it(desk: TradingDesk):
    preview = previewed(desk)
    order = trade_execute(preview=preview, by="test").order
    for again in (preview, Preview.objects.get()):
        with pytest.raises(PreviewUsed, match=order.id):
            trade_execute(preview=again, by="test")
    assert OrderRow.objects.count() == 1


def test_a_preview_is_stale_after_another_order(desk: TradingDesk):
    preview = previewed(desk)
    desk.order("COIN", Side.BUY, 1)
    with pytest.raises(PreviewStale):
        trade_execute(preview=preview, by="test")


def test_a_preview_is_stale_after_other_limits(desk: TradingDesk):
    preview = previewed(desk)
    config = msgspec.structs.replace(FREE, orders_per_minute=7)
    risk_configure(account=desk.account, config=config, version=None, by="test")
    with pytest.raises(PreviewStale):
        trade_execute(preview=preview, by="test")


@pytest.mark.parametrize(
    ("price", "is_stale"), [(100.5, False), (99.5, False), (100.51, True), (99.49, True)]
)
def test_a_preview_is_stale_beyond_the_tolerance(desk: TradingDesk, price: float, is_stale: bool):
    """The usual `preview_tolerance` is 0.5 %."""
    preview = previewed(desk)
    prints("COIN", (0, price, 10.0))
    with pytest.raises(PreviewStale) if is_stale else nullcontext():
        trade_execute(preview=preview, by="test")
    assert OrderRow.objects.exists() is not is_stale


def test_a_preview_expires(desk: TradingDesk):
    preview = previewed(desk)
    Preview.objects.update(expires_ns=1)
    preview.refresh_from_db()
    with pytest.raises(PreviewExpired):
        trade_execute(preview=preview, by="test")
    assert not OrderRow.objects.exists()


def test_old_previews_are_deleted(desk: TradingDesk):
    previewed(desk)
    now = dt.datetime.now(dt.UTC)
    previews_delete_old(now=now)
    assert Preview.objects.count() == 1
    Preview.objects.update(expires_ns=at_ns(-2 * 86_400))
    previews_delete_old(now=now)
    assert not Preview.objects.exists()
