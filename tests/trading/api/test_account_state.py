"""What an account is now, in the words and units of its clients."""

import pytest

from tests.api_client import Api, answer, make_key, problem
from tests.trading.calls import shown
from tests.trading.desks import at_ns, coin, prints
from tests.trading.recorded import RecordedAccount, decimal, engine_lives
from trading.core.configuration import Zone
from trading.core.events import (
    CloseQueued,
    HaltLatched,
    RiskOverridden,
    Stopped,
    StopRequested,
    TradingStarted,
)
from trading.models import Account, Lease

STATUS, PORTFOLIO, RISK = "/api/v1/status", "/api/v1/portfolio", "/api/v1/risk"


@pytest.fixture
def held(api: Api) -> RecordedAccount:
    """A long that gained half of what it risked, a short that lost 0.3 of it, and 1.49 % below the high-water mark."""
    prints(coin("COIN"), (0, 100.0, 10.0), (5, 101.0, 10.0))
    prints(coin("GOLD"), (0, 100.0, 10.0), (5, 103.0, 10.0))
    account = RecordedAccount(deposit=9844)
    account.record(TradingStarted(by="test"))
    account.hold("COIN", "buy", 10, 100, stop_loss=98, strategy="momentum")
    account.hold("GOLD", "sell", 1, 100, stop_loss=110)
    account.mark(10000, seconds=1)
    engine_lives(10)
    return account


def test_a_portfolio_is_in_r_and_in_per_cent(api: Api, held: RecordedAccount):
    found = shown(api, PORTFOLIO)
    positions = {each["symbol"]: each for each in found["positions"]}
    assert {symbol: each["pnl_r"] for symbol, each in positions.items()} == {"COIN": 0.5, "GOLD": -0.3}
    assert {symbol: each["direction"] for symbol, each in positions.items()} == {
        "COIN": "LONG",
        "GOLD": "SHORT",
    }
    assert (found["total_pnl"], found["without_r"]) == (0.2, 0)
    assert (found["drawdown_pct"], found["dd_zone"], found["risk_level"]) == (1.49, "NORMAL", 0.30)
    assert (found["total_pnl_money"], found["equity"], found["currency"]) == (7.0, 9851.0, "USD")
    assert found["cash"] == 9844.0 - 1000 + 100
    long = positions["COIN"]
    assert (long["quantity"], long["average_price"], long["mark"], long["value"]) == (10, 100, 101, 1010)
    assert (long["strategy"], long["marked_at"], long["is_stale"]) == (
        "momentum",
        "2025-06-05T14:00:05Z",
        False,
    )
    assert positions["GOLD"]["value"] == -103.0


def test_the_exposure_counts_working_orders(api: Api, held: RecordedAccount):
    held.order("COIN", "buy", 5, price=90)
    exposure = shown(api, PORTFOLIO)["exposure"]
    assert [(each["symbol"], each["exposure"]) for each in exposure["by_symbol"]] == [
        ("COIN", 1010.0 + 450.0),
        ("GOLD", 103.0),
    ]
    assert exposure["gross"] == 1563.0
    assert exposure["gross_pct"] == pytest.approx(1563 / 98.51, abs=1e-6)


def test_an_answer_names_the_event_after_which_it_was_read(api: Api, held: RecordedAccount):
    before = int(api.get(PORTFOLIO)["X-Account-Event"])
    assert before == held.row.number
    held.order("COIN", "buy", 5)
    assert int(api.get(RISK)["X-Account-Event"]) == before + 2


def test_a_position_without_a_stop_is_left_out_of_the_sum_in_r(api: Api, held: RecordedAccount):
    prints(coin("BARE"), (0, 50.0, 1.0))
    held.hold("BARE", "buy", 2, 40)
    found = shown(api, PORTFOLIO)
    bare = next(each for each in found["positions"] if each["symbol"] == "BARE")
    assert (bare["pnl"], bare["pnl_r"]) == (20.0, None)
    assert (found["total_pnl"], found["without_r"], found["total_pnl_money"]) == (0.2, 1, 27.0)


def test_a_position_says_what_is_unrealized_and_what_is_realized(api: Api, held: RecordedAccount):
    """Half of a long was sold at 104, and a quarter of a short of 4 was bought back at 99."""
    prints(coin("PART"), (0, 50.0, 10.0), (5, 101.0, 10.0))
    held.hold("PART", "buy", 4, 100)
    held.fill(held.order("PART", "sell", 2), 2, 104, fee=3)
    prints(coin("DOWN"), (0, 50.0, 10.0), (5, 98.0, 10.0))
    held.hold("DOWN", "sell", 4, 100)
    held.fill(held.order("DOWN", "buy", 1), 1, 99, fee=0.5)
    found = shown(api, PORTFOLIO)
    positions = {each["symbol"]: each for each in found["positions"]}
    names = ("unrealized_pnl", "realized_pnl", "income", "fees", "pnl", "pnl_base")
    assert [positions["PART"][name] for name in names] == [2, 8, 0, 3, 7, 7]
    assert [positions["DOWN"][name] for name in names] == [6, 1, 0, 0.5, 6.5, 6.5]
    # Those of COIN and GOLD are 10 and -3.
    assert found["total_unrealized_pnl"] == 10 - 3 + 2 + 6
    assert found["total_pnl_money"] == 10 - 3 + 7 + 6.5


def test_what_has_no_price_is_null_and_not_zero(api: Api, held: RecordedAccount):
    coin("DARK")
    held.hold("DARK", "buy", 2, 40)
    found = shown(api, PORTFOLIO)
    dark = next(each for each in found["positions"] if each["symbol"] == "DARK")
    unknown = ("mark", "marked_at", "value", "unrealized_pnl", "pnl", "pnl_base", "pnl_r")
    assert {dark[name] for name in unknown} == {None}
    assert (dark["realized_pnl"], dark["income"], dark["fees"]) == (0, 0, 0)
    assert dark["is_stale"]
    assert (found["equity"], found["exposure"]) == (None, {"gross": None, "gross_pct": None, "by_symbol": []})
    assert shown(api, "/api/v1/accounts/ACC")["equity"] is None
    limits = shown(api, RISK)["limits"]
    assert {limits[name]["used"] for name in ("daily_loss", "total_loss", "gross_exposure")} == {None}


def test_an_old_mark_is_stale(api: Api, held: RecordedAccount):
    engine_lives(5 + 60.5)
    assert {each["is_stale"] for each in shown(api, PORTFOLIO)["positions"]} == {True}


def test_the_high_water_mark_is_the_recorded_one_and_does_not_fall(api: Api):
    prints(coin("COIN"), (0, 100.0, 10.0), (5, 100.5, 10.0), (7, 100.2, 10.0))
    account = RecordedAccount(deposit=10_000)
    account.hold("COIN", "buy", 10, 100)
    found = []
    for seconds in (6, 8):
        engine_lives(seconds)
        portfolio, curve = shown(api, PORTFOLIO), shown(api, "/api/v1/performance")["drawdown_curve"]
        found.append((portfolio["equity"], portfolio["high_water"], curve[-1]["high_water"]))
    assert found == [(10_005.0, 10_000.0, 10_000.0), (10_002.0, 10_000.0, 10_000.0)]


def test_positions_of_a_path_are_those_of_the_portfolio(api: Api, held: RecordedAccount):
    found = shown(api, "/api/v1/accounts/ACC/positions")
    assert found == {"account": "ACC", "positions": shown(api, PORTFOLIO)["positions"]}


def test_risk_says_how_much_of_each_limit_is_used(api: Api, held: RecordedAccount):
    found = shown(api, RISK)
    assert (found["dd_zone"], found["drawdown_pct"], found["risk_level"]) == ("NORMAL", 1.49, 0.30)
    limits = {name: (each["limit"], each["used"]) for name, each in found["limits"].items()}
    assert limits["total_loss"] == (10.0, 0.0)
    assert limits["symbol_exposure"] == (25.0, pytest.approx(1010 / 98.51, abs=1e-6))
    assert limits["gross_exposure"] == (100.0, pytest.approx(1113 / 98.51, abs=1e-6))
    assert limits["orders_per_minute"] == (60.0, 2)
    assert (found["override"], found["halt"], found["version"]) == (None, None, 1)


def test_a_worse_zone_halves_the_level_and_the_limits_of_exposure(api: Api, held: RecordedAccount):
    held.mark(9690, seconds=2, zone=Zone.CAUTION)
    found = shown(api, RISK)
    assert (found["dd_zone"], found["risk_level"]) == ("CAUTION", 0.15)
    assert found["limits"]["symbol_exposure"]["limit"] == 12.5
    assert found["limits"]["daily_loss"]["limit"] == 3.0


def test_an_override_is_shown_with_its_reason(api: Api, held: RecordedAccount):
    held.record(RiskOverridden(risk_level=decimal(0.1), until_ns=at_ns(100), reason="news", by="key:1"))
    found = shown(api, RISK)
    assert found["risk_level"] == 0.1
    assert found["override"] == {
        "risk_level": 0.1,
        "until": "2025-06-05T14:01:40Z",
        "reason": "news",
        "by": "key:1",
    }


def test_the_limits_have_their_version_as_etag(api: Api, held: RecordedAccount):
    response = api.get("/api/v1/config")
    assert response["ETag"] == '"risk-1"'
    found = answer(response)
    assert (found["version"], found["config"]["risk_level"], found["config"]["fill"]) == (1, 0.3, "through")
    assert found["config"]["orders_per_minute"] == 60


def test_a_running_account_is_connected_while_the_engine_works_for_it(api: Api, held: RecordedAccount):
    found = shown(api, STATUS)
    assert (found["engine"], found["status"], found["connected"]) == ("running", "running", True)
    assert (found["open_positions"], found["dd_zone"], found["halt"], found["queued"]) == (
        2,
        "NORMAL",
        None,
        [],
    )
    assert found["uptime_seconds"] >= 0


@pytest.mark.parametrize("reason", ["a failed account", "a log that cannot be read", "no engine"])
def test_a_running_account_without_the_market_is_degraded(api: Api, held: RecordedAccount, reason: str):
    if reason == "a log that cannot be read":
        engine_lives(10, broken=["quotes:GOLD"])
    elif reason == "a failed account":
        engine_lives(10, failed_accounts=["ACC"])
    elif reason == "no engine":
        Lease.objects.update(leased_until_ns=1)
    found = shown(api, STATUS)
    assert (found["connected"], found["status"]) == (False, "degraded")
    assert (found["engine"], found["uptime_seconds"] is None) == (
        ("away", True) if reason == "no engine" else ("running", False)
    )


def test_a_halt_shows_until_it_is_released(api: Api, held: RecordedAccount):
    held.record(HaltLatched(reason="drawdown"), seconds=3)
    found = shown(api, STATUS)
    assert (found["status"], found["dd_zone"]) == ("halted", "HALT")
    assert found["halt"] == {"reason": "drawdown", "at": "2025-06-05T14:00:03Z", "symbol": None}
    assert shown(api, RISK)["risk_level"] == 0


def test_a_stop_shows_what_waits_for_its_market(api: Api, held: RecordedAccount):
    held.record(
        StopRequested(by="test"),
        CloseQueued(symbol="COIN", strategy="momentum", opens_ns=at_ns(60)),
        CloseQueued(symbol="GOLD", strategy=""),
    )
    found = shown(api, STATUS)
    assert found["status"] == "stopping"
    assert found["queued"] == [
        {"symbol": "COIN", "strategy": "momentum", "opens_at": "2025-06-05T14:01:00Z"},
        {"symbol": "GOLD", "strategy": None, "opens_at": None},
    ]
    held.record(Stopped())
    assert shown(api, STATUS)["status"] == "stopped"


def test_accounts_are_listed_with_their_balances(api: Api, held: RecordedAccount):
    RecordedAccount("B")
    found = shown(api, "/api/v1/accounts", limit=1)
    assert ([each["id"] for each in found["accounts"]], found["total_estimate"]) == (["ACC"], 2)
    rest = shown(api, "/api/v1/accounts", limit=1, cursor=found["next_cursor"])
    assert [each["id"] for each in rest["accounts"]] == ["B"]
    account = shown(api, "/api/v1/accounts/ACC")
    assert account == found["accounts"][0]
    balances = {(each["account"], each["symbol"]): each["amount"] for each in account["balances"]}
    assert balances == {
        ("capital", None): -9844.0,
        ("cash", None): 8944.0,
        ("positions", "COIN"): 1000.0,
        ("positions", "GOLD"): -100.0,
    }
    assert (account["equity"], account["high_water"]) == (9851, 10000)
    assert account["equity"] == shown(api, PORTFOLIO, account="ACC")["equity"]
    engine_lives(12)
    prints("COIN", (11, 90.0, 10.0))
    assert (
        shown(api, "/api/v1/accounts/ACC")["equity"] == shown(api, PORTFOLIO, account="ACC")["equity"] == 9741
    )
    # The recorded account was created after what happens to it.
    Account.objects.update(created_ns=0)
    assert shown(api, "/api/v1/accounts/ACC")["marked_at"] == "2025-06-05T14:00:12Z"


@pytest.mark.parametrize(
    "path",
    [
        *("status", "portfolio", "risk", "config", "performance", "trades", "signals", "orders"),
        "transactions",
    ],
)
def test_an_account_must_be_named_unless_there_is_one(api: Api, held: RecordedAccount, path: str):
    RecordedAccount("B")
    assert problem(api.get(f"/api/v1/{path}")) == (400, "account_required")
    assert api.get(f"/api/v1/{path}", {"account": "B"}).status_code == 200
    assert problem(api.get(f"/api/v1/{path}", {"account": "C"})) == (404, "unknown_account")
    own = Api(make_key(scopes=("trading:read",), accounts=["B"]))
    response = own.get(f"/api/v1/{path}")
    assert answer(response).get("account", "B") == "B"
    assert problem(own.get(f"/api/v1/{path}", {"account": "ACC"})) == (404, "unknown_account")


@pytest.mark.parametrize("path", ["", "/positions", "/orders", "/transactions"])
def test_an_account_of_another_is_not_there(api: Api, held: RecordedAccount, path: str):
    own = Api(make_key(scopes=("trading:read",), accounts=["B"]))
    assert problem(own.get(f"/api/v1/accounts/ACC{path}")) == (404, "unknown_account")
    assert problem(own.get(f"/api/v1/accounts/B{path}")) == (404, "unknown_account")
    assert problem(api.get(f"/api/v1/accounts/A%00B{path}")) == (404, "unknown_account")
    assert answer(own.get("/api/v1/accounts"))["accounts"] == []


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("risk", "account=ACC&account=ACC", "repeated_parameter"),
        ("performance", "days=0", "invalid_number"),
        ("performance", "days=3661", "invalid_number"),
        ("performance", "by=month", "invalid_parameter"),
        ("performance", "from=yesterday", "invalid_timestamp"),
        ("performance", "from=1500-01-01", "timestamp_out_of_range"),
        ("performance", "from=2025-01-02&to=2025-01-02", "invalid_range"),
        ("performance", "days=3&to=2025-01-02", "conflicting_parameters"),
        ("accounts/ACC/orders", "account=ACC", "unknown_parameter"),
    ],
)
def test_a_wrong_parameter_is_refused(api: Api, held: RecordedAccount, path: str, query: str, code: str):
    assert problem(api.get(f"/api/v1/{path}?{query}")) == (400, code)
