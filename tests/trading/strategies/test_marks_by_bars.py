"""A bar that fills an order is its mark, too: zones, halts and equity are those of the same prices as prints."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.chance import SOAK
from tests.trading.strategies.resolutions import RESOLUTIONS, ZONES, Run, Session, run, write
from trading.core.terms import terms_by_class

EXCHANGES = ("XNYS", "XLON", "XTKS", "XASX", None) if SOAK else ("XNYS", "XASX", None)


def runs(
    path: Path, sessions: list[Session], plan: dict[int, Any], exchange: str | None, **inputs: Any
) -> list[Run]:
    """Return the runs of a plan over sessions as prints, minutes, hours and days."""
    found = []
    for resolution in RESOLUTIONS:
        write(path / resolution, resolution, sessions, exchange=exchange)
        found.append(run(path / resolution, plan, len(sessions), **inputs))
    return found


def order(side: str, quantity: int, limit: float | None = None) -> dict[str, Any]:
    limited = {} if limit is None else {"type": "limit", "limit_price": Decimal(str(limit))}
    return {"side": side, "quantity": Decimal(quantity), "time_in_force": "gtc", **limited}


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
def test_the_bar_of_an_entry_halts(tmp_path: Path, exchange: str | None, sign: int):
    """It closes 18 % below: a limit that waits is cancelled, and a new order refused by the same bar's decision."""
    side = "buy" if sign > 0 else "sell"
    sessions = [
        Session(100 + sign * open_, 100 + sign * close)
        for open_, close in [(0, 0), (0, -20), (-20, -30), (-30, -30)]
    ]
    plan = {0: [order(side, 900), order(side, 200, limit=100 - 25 * sign)], 1: [order(side, 50)]}
    terms = terms_by_class({"equity": {"borrow_rate": 0}})
    prints, *bars = runs(tmp_path, sessions, plan, exchange, classes=terms)
    assert prints.fills == [(900 * sign, 100)]
    assert (prints.ended, prints.refused) == (["halt"], ["zone"])
    assert [equity for equity, _ in prints.decided] == [100_000, 82_000, 73_000, 73_000]
    for each in bars:
        assert each.result == prints.result
        assert each.figures.max_dd == prints.figures.max_dd
        assert len(each.halted_ns) == 1


def test_what_is_lost_on_one_day_is_no_loss_of_the_next(tmp_path: Path):
    """The bar that ends at midnight is of the day before."""
    sessions = [Session(100, 100), Session(100, 100), Session(100, 96), Session(96, 96), Session(96, 96)]
    config = msgspec.structs.replace(ZONES, daily_loss=Decimal(3))
    prints, *bars = runs(
        tmp_path, sessions, {0: [order("buy", 900)], 2: [order("buy", 10)]}, "XNYS", config=config
    )
    assert prints.fills == [(900, 100), (10, 96)]
    for each in bars:
        assert each.result == prints.result


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_account_that_has_all_its_money_in_a_share_is_exposed_to_a_hundred_per_cent(
    tmp_path: Path, exchange: str | None
):
    sessions = [
        Session(100, 100),
        Session(100, 90),
        Session(95, 90.05),
        Session(90, 60),
        Session(99, 100),
        Session(100, 100),
    ]
    config = ZONES.without_limits()
    for each in runs(
        tmp_path,
        sessions,
        {0: [order("buy", 1_000)]},
        exchange,
        config=msgspec.structs.replace(config, participation=Decimal(100)),
    ):
        exposure = each.figures.exposure
        assert exposure.time_in_market is not None
        assert exposure.largest_pct == pytest.approx(100)
        assert exposure.mean_pct == pytest.approx(100 * exposure.time_in_market)


def test_a_short_pays_for_each_night_at_the_close_before_it(tmp_path: Path):
    sessions = [Session(100, 100), Session(100, 110), Session(110, 120), Session(120, 120)]
    terms = terms_by_class({"equity": {"borrow_rate": 0.365}})
    prints, *bars = runs(tmp_path, sessions, {0: [order("sell", 100)]}, "XNYS", classes=terms)
    # 100 shares at 110, 120 and twice at 120.
    assert prints.decided[-1][0] == 100_000 - 2_000 - 11 - 12 - 12
    for each in bars:
        assert each.result == prints.result
