"""The commands of trading: account create, list, verify; trading stop, start."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from audit.models import AuditRecord
from tests.trading.calls import COIN, CallDesk
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.journal import _snapshot
from trading.models import Account, EventRow

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(api) -> CallDesk:
    return CallDesk()


def said(capsys, *words: str) -> Any:
    call_command(*words, "--json")
    return json.loads(capsys.readouterr().out)


class TestAccount:
    def test_an_account_is_opened_with_money(self, api, capsys):
        document = said(
            capsys, "account", "create", "main", "--kind", "margin", "--currency", "EUR", "--deposit", "250.5"
        )
        assert (document["id"], document["cash"], document["status"]) == ("main", 250.5, "stopped")
        record = AuditRecord.objects.latest("sequence")
        assert (record.event, record.audit_class, record.subject) == (
            "account.created",
            "trading",
            "account:main",
        )
        assert [each["id"] for each in said(capsys, "account", "list")] == ["main"]

    @pytest.mark.parametrize(
        "words",
        [["a b"], ["main", "--deposit", "x"], ["main", "--deposit", "-5"], ["main", "--deposit", "nan"]],
    )
    def test_what_is_wrong_opens_nothing(self, api, words):
        with pytest.raises(CommandError):
            call_command("account", "create", *words)
        assert not Account.objects.exists()

    def test_an_account_is_opened_once(self, api):
        call_command("account", "create", "main")
        with pytest.raises(CommandError, match="there is an account main"):
            call_command("account", "create", "main")

    def test_people_read_lines(self, desk, capsys):
        call_command("account", "list")
        assert "ACC" in capsys.readouterr().out


class TestVerify:
    @pytest.fixture
    def busy(self, desk: CallDesk) -> CallDesk:
        """An account with each kind of rows: a bracket, fills, a closed trade, a cancelled order."""
        terms: dict[str, Any] = {"time_in_force": TimeInForce.GTC, "type": OrderType.LIMIT}
        desk.order(COIN, Side.BUY, 2, limit_price=101, take_profit=110, stop_loss=90, **terms)
        desk.print(1, 100.0)
        desk.print(2, 111.0)
        desk.print(3, 111.0)
        desk.order(COIN, Side.BUY, 1, limit_price=50, **terms)
        desk.order(COIN, Side.BUY, 2, limit_price=112, take_profit=120, stop_loss=90, **terms)
        desk.print(4, 111.0)
        desk.print(5, 111.0)
        assert desk.account.trades.exists()
        assert desk.state.positions
        return desk

    def test_what_follows_from_the_events_is_as_stored(self, busy, capsys):
        assert said(capsys, "account", "verify", "ACC")["difference"] is None

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda: Account.objects.update(number=3), "the last event is"),
            (lambda: EventRow.objects.filter(number=4).delete(), "event 4 is missing"),
        ],
        ids=["number", "event"],
    )
    def test_the_first_difference_is_named(self, busy, capsys, change, named):
        change()
        with pytest.raises(SystemExit) as ended:
            call_command("account", "verify", "ACC")
        assert ended.value.code == 1
        assert named in capsys.readouterr().out

    def test_a_changed_state_is_found(self, busy, capsys):
        _snapshot(busy.account, msgspec.structs.replace(busy.state, cash=Decimal(2)))
        with pytest.raises(SystemExit):
            call_command("account", "verify", "ACC")
        assert "the state's cash is 2" in capsys.readouterr().out

    def test_an_unknown_account_is_named(self, api):
        with pytest.raises(CommandError, match="no account OTHER"):
            call_command("account", "verify", "OTHER")


class TestEngine:
    def test_without_migrations_it_does_not_begin(self, monkeypatch):
        monkeypatch.setattr(
            "django.db.migrations.executor.MigrationExecutor.migration_plan", lambda *_: [("trading", False)]
        )
        with pytest.raises(CommandError, match="the database is not migrated"):
            call_command("trading_engine")


class TestTrading:
    def test_a_stop_is_recorded(self, desk, capsys):
        desk.buy()
        (document,) = said(capsys, "trading", "stop", "ACC", "--reason", "enough")
        assert document["status"] == "stopping"
        record = AuditRecord.objects.latest("sequence")
        assert (record.event, record.subject) == ("trading.stopped", "account:ACC")
        assert "enough" in EventRow.objects.get(name="stop_requested").body

    def test_all_are_stopped_and_one_is_started(self, desk, capsys):
        call_command("account", "create", "OTHER")
        capsys.readouterr()
        assert [each["account"] for each in said(capsys, "trading", "stop", "--all")] == ["ACC", "OTHER"]
        assert said(capsys, "trading", "start", "OTHER")[0]["status"] == "running"

    def test_it_is_done_without_the_audit_log(self, desk, capsys, monkeypatch):
        def fail(**_: Any) -> None:
            raise OperationalError("disk I/O error")

        monkeypatch.setattr("trading.management.commands.trading.event_record", fail)
        assert said(capsys, "trading", "stop", "ACC")[0]["status"] == "stopping"
        with pytest.raises(CommandError):
            call_command("trading", "start", "ACC")
        assert desk.state.status == "stopping"

    @pytest.mark.parametrize(
        "words", [["stop"], ["stop", "ACC", "--all"], ["stop", "NONE"], ["start", "NONE"]]
    )
    def test_which_accounts_must_be_said(self, desk, words):
        with pytest.raises(CommandError):
            call_command("trading", *words)
        assert desk.state.status == "running"

    def test_without_the_engine_nothing_is_started(self, desk):
        desk.away()
        with pytest.raises(CommandError, match="the engine is away"):
            call_command("trading", "start", "ACC")
