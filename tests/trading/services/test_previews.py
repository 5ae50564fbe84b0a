"""A preview is stale once its price has moved beyond the tolerance, and is deleted when it is old."""

import datetime as dt
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest

from tests.trading.desks import TradingDesk, at_ns, coin, prints
from trading.core.orders import OrderTerms
from trading.core.terms import Side
from trading.exceptions import PreviewStale
from trading.models import OrderRow, Preview
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


def test_an_owner_keeps_its_newest_previews(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trading.services.previews.MOST_PREVIEWS", 2)
    made = [previewed(desk) for _ in range(3)]
    other = previewed(desk)
    Preview.objects.filter(pk=other.pk).update(owner="key:0")
    previews_delete_old(now=dt.datetime.now(dt.UTC))
    assert set(Preview.objects.values_list("pk", flat=True)) == {made[1].pk, made[2].pk, other.pk}


def test_old_previews_are_deleted(desk: TradingDesk):
    previewed(desk)
    now = dt.datetime.now(dt.UTC)
    previews_delete_old(now=now)
    assert Preview.objects.count() == 1
    Preview.objects.update(expires_ns=at_ns(-2 * 86_400))
    previews_delete_old(now=now)
    assert not Preview.objects.exists()
