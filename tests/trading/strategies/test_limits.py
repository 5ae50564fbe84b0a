"""Which limits and zones a backtest has, and what it says of the orders that they refuse."""

from collections.abc import Mapping
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.strategies.past import START_NS, batch_of
from trading.api.backtests import _limits_text
from trading.core.configuration import RiskConfig, Zone, zone_after
from trading.strategies.catalogue import SHIPPED
from trading.strategies.strategy import Bar, Strategy

pytestmark = [pytest.mark.django_db, pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files")]
FALLING = "C-USD"
# Held from the second bar, it loses a fifth of its value. What comes after the fifteenth is in the zone CAUTION.
CLOSES = [*[100.0] * 8, *[80.0] * 22]


class Persistent(Strategy):
    """Holds 20 % of its equity for ten bars, and then buys 20 % at each tenth bar."""

    name = "persistent"
    bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.broker.position(bar.symbol) and self.bars % 10 == 0:
            self.broker.close(bar.symbol)
        elif self.bars % 10 == 2:
            self.buy(bar.symbol, self.broker.equity / 5 / Decimal(repr(bar.close)))


@pytest.fixture(autouse=True)
def falling(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, Persistent.name, Persistent)
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    settings.DATA_DIR.mkdir()
    stored(settings.DATA_DIR, CLOSES)


def stored(path: Path, closes: list[float], tick: float = 0.01) -> None:
    store = CsvStore(path)
    store.set_instrument(
        Instrument(FALLING, instrument_class=CRYPTO, currency="USD", tick_size=tick, settle=0.0)
    )
    rows = [
        {"timestamp": START_NS + index * MINUTE_NS, "resolution": "1m", "volume": 1e15}
        | dict.fromkeys(("open", "high", "low", "close"), close)
        for index, close in enumerate(closes)
    ]
    store.append(Append(BARS, FALLING, batch_of(BARS, rows), "test"))


def printed(*options: str) -> str:
    out = StringIO()
    call_command("backtest", "persistent", FALLING, *options, stdout=out, stderr=StringIO())
    return out.getvalue()


def result(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(printed(*options, "--json"))
    return found


def test_by_default_no_limit_and_no_zone_refuses_anything():
    found = result()
    assert found["performance"]["max_dd"] > 3
    assert (found["signals"]["accepted"], found["signals"]["refused_by"]) == (3, {})
    assert (found["notice"], found["signals"]["refusals"]) == (None, [])
    assert found["inputs"]["risk"] == "none"
    assert found["inputs"]["config"] == {
        "collar": 5.0,
        "participation": 10.0,
        "latency_ms": 50,
        "fill": "through",
        "stale_after_seconds": 60,
    }
    assert _limits_text(found["inputs"]) == "Without limits and zones."


def test_with_the_limits_of_an_account_it_says_which_limit_of_which_zone_refused():
    found = result("--risk", "account")
    assert found["signals"]["accepted"] == 1
    [refusal] = found["signals"]["refusals"]
    assert refusal.pop("reason").startswith("symbol exposure ")
    assert refusal == {
        "check": "symbol_exposure",
        "dd_zone": "CAUTION",
        "count": 2,
        "first_at": "2025-01-06T00:12:00Z",
        "limit": 12.5,
        "normal_limit": 25.0,
        "unit": "percent of equity",
    }
    assert found["notice"] == (
        "Of 3 signals: 2 refused by symbol_exposure since 2025-01-06T00:12:00Z "
        "(limit 12.5 percent of equity in zone CAUTION, 25 in NORMAL)."
    )
    assert printed("--risk", "account").splitlines()[1] == found["notice"]
    assert set(found["inputs"]["config"]) == set(RiskConfig.__struct_fields__) - {"unlimited"}
    assert _limits_text(found["inputs"]) == "With the limits and zones of an account."


@pytest.mark.parametrize(
    ("limit", "refused", "zone", "limits"),
    [
        ("max_symbol_exposure=15", 3, "NORMAL", [15.0, 15.0]),
        ("max_gross_exposure=15", 3, "NORMAL", [15.0, 15.0]),
        ("caution=2", 0, None, []),
        ("daily_loss=3", 2, "NORMAL", [3.0, 3.0]),
        ("total_loss=3", 2, "NORMAL", [3.0, 3.0]),
        ("halt=3", 2, "HALT", [None, None]),
        ("max_symbol_exposure=200", 0, None, []),
    ],
)
def test_a_limit_that_is_named_holds_alone(limit: str, refused: int, zone: str | None, limits: list[Any]):
    found = result("--limit", limit)
    assert found["signals"]["refused"] == refused
    for each in found["signals"]["refusals"]:
        assert (each["dd_zone"], [each["limit"], each["normal_limit"]]) == (zone, limits)
    name, value = limit.split("=")
    held = {each: found["inputs"]["config"].get(each) for each in ("halt", "max_symbol_exposure", name)}
    assert {each for each, known in held.items() if known is not None} == {name}
    assert _limits_text(found["inputs"]) == f"With no limits and zones but {name} {value}."


def test_a_zone_that_is_named_scales_the_limits_that_are_named():
    found = result("--limit", "caution=2", "max_symbol_exposure=30")
    assert [(each["dd_zone"], each["limit"]) for each in found["signals"]["refusals"]] == [("CAUTION", 15.0)]


@pytest.mark.parametrize(
    ("held", "drawdown", "zone"),
    [
        ((), "99", "NORMAL"),
        (("halt",), "9.9", "NORMAL"),
        (("halt",), "10", "HALT"),
        (("caution",), "50", "CAUTION"),
        (("danger",), "5.9", "NORMAL"),
    ],
)
def test_a_zone_that_does_not_hold_is_never_entered(held: tuple[str, ...], drawdown: str, zone: str):
    config = RiskConfig().without_limits(but=held)
    assert zone_after(Zone.NORMAL, Decimal(drawdown), config) is Zone(zone)


def test_orders_of_more_units_than_an_order_has_are_refused_in_words(settings: Any):
    """A fifth of 100,000 at a price of 8e-9 is 2,500,000,000,000 units."""
    path: Path = settings.DATA_DIR.parent / "tiny"
    settings.DATA_DIR, settings.MARKET_STORES = path, stores_at(path)
    path.mkdir()
    stored(path, [8e-9] * 20, tick=1e-12)
    found = result()
    assert found["signals"]["refused_by"] == {"quantity": 2}
    assert found["notice"] == (
        "No order was filled. Of 2 signals: 2 refused by quantity since 2025-01-06T00:02:00Z "
        "(an order has at most 1,000,000,000,000 units, and this one would have 2,500,000,000,000)."
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--risk", "some"], "invalid choice: 'some'"),
        (["--limit", "caution=3", "halt=2"], "--limit caution: must be below halt"),
        (
            ["--risk", "account", "--limit", "max_symbol_exposure=200"],
            "--limit max_symbol_exposure: must not",
        ),
    ],
)
def test_limits_that_contradict_each_other_are_refused(options: list[str], words: str):
    with pytest.raises(CommandError, match=words):
        printed(*options)


def test_a_result_says_with_which_limits_it_can_be_had_again():
    for options in ((), ("--risk", "account"), ("--limit", "halt=5", "risk_level=9", "participation=20")):
        first: Mapping[str, Any] = result(*options)
        inputs = first["inputs"]
        again = [f"{name}={value}" for name, value in inputs["config"].items()]
        as_of = ("--as-of", inputs["as_of"])
        assert result("--risk", inputs["risk"], *as_of, "--limit", *again) == first
