"""Accounts of a running installation, the market that they trade in, and clients that trade for them."""

import contextlib
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from ratelimit.access.scopes import SCOPES
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Append, Dedupe
from tests.front.front_server import Reply, eventually
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import CUT, Client
from tests.system.installation import UNLIMITED, Installation
from tests.system.keys_in_database import key_id

_AGAIN_SECONDS = 0.05
# No limit of risk and no pause is in the way of these accounts.
_OPEN = """
from decimal import Decimal
from trading.services.accounts import account_create, account_transfer
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.services.accounts import trading_start
from trading.models import Account
many = Decimal(10_000)
config = RiskConfig(max_symbol_exposure=many, max_gross_exposure=many, orders_per_minute=10_000, participation=Decimal(100),
                    collar=Decimal(50), stale_after_seconds=86_400, daily_loss=Decimal(90),
                    total_loss=Decimal(90), caution=Decimal(70), danger=Decimal(80), halt=Decimal(90))
for name in {names!r}:
    account_create(name=name, kind=AccountKind.MARGIN, currency="USD", by="test", config=config)
    account_transfer(name=name, transfer="first", amount=Decimal(1_000_000))
    trading_start(account=Account.objects.get(name=name), by="test")
"""
_VERIFY = """
from collections import Counter
from trading.journal import state_of
from trading.core.events import decoded
from trading.models import Account, EventRow
from trading.account_store import account_verify
for account in Account.objects.all():
    difference = account_verify(account=account)
    assert not difference, (account, difference)
    sums = Counter()
    for name, amount in state_of(account).balances.items():
        sums[name.split()[1]] += amount
    assert not any(sums.values()), (account, sums)
fills = [decoded(row.body) for row in EventRow.objects.filter(name="executed")]
prints = Counter((each.order_id, each.print.ref) for each in fills)
assert all(count == 1 for count in prints.values()), "an order was filled twice by a print"
print("verified", Account.objects.count())
"""


class Market:
    """One symbol that is traded at any hour. Prints are appended by this process."""

    def __init__(self, installation: Installation, symbol: str) -> None:
        self.symbol = symbol
        self._store = installation.store
        self._store.set_instrument(Instrument(symbol, instrument_class="crypto", currency="USD"))

    def print(self, *prints: tuple[float, float]) -> None:
        """Store trades of this moment in one commit: prices and volumes."""
        now_ns = time.time_ns()
        rows = [
            {"timestamp": now_ns + number, "symbol": self.symbol, "price": price, "volume": volume}
            for number, (price, volume) in enumerate(prints)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=TRADES.schema)
        self._store.append(Append(TRADES, self.symbol, batch, "tests", Dedupe.NONE))

    def order(self, side: str = "buy", quantity: float = 1, **terms: Any) -> dict[str, Any]:
        """The document of an order: a market order without further terms."""
        return {"symbol": self.symbol, "side": side, "quantity": quantity, "time_in_force": "gtc", **terms}


def accounts_open(installation: Installation, market: Market, names: Iterable[str]) -> None:
    """Open margin accounts with money that trade without limits."""
    assert eventually(lambda: is_engine_alive(installation))
    installation.served.manage("shell", "-c", _OPEN.format(names=list(names)))


def verify(installation: Installation) -> None:
    """Check each account as `account verify` does; also that the ledger balances, and that each execution is there once."""
    try:
        assert "verified" in installation.served.manage("shell", "-c", _VERIFY)
    except subprocess.CalledProcessError as error:
        raise AssertionError(error.stderr) from error


def is_engine_alive(installation: Installation) -> bool:
    with database(installation) as read:
        found = read.execute("SELECT leased_until_ns FROM trading_lease WHERE id = 1").fetchone()
    return found is not None and found[0] > time.time_ns()


@contextlib.contextmanager
def database(installation: Installation) -> Iterator[sqlite3.Connection]:
    """The installation's database, to be read."""
    path = installation.served.data_dir / "marketdata.sqlite3"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def audited_status(installation: Installation, correlation_id: str) -> list[int]:
    """The statuses of the audit records of a call that are committed now."""
    with database(installation) as read:
        found = read.execute(
            "SELECT status FROM audit_auditrecord WHERE correlation_id = ? AND caller <> 'engine'",
            [correlation_id],
        )
        return [status for (status,) in found]


def orders_of(installation: Installation, account: str) -> dict[str, str]:
    """The orders in the table, by id, with their client_order_id."""
    with database(installation) as read:
        return dict(
            read.execute(
                "SELECT uuid, client_order_id FROM trading_orderrow JOIN trading_account a ON a.id = account_id"
                " WHERE a.name = ?",
                [account],
            ).fetchall()
        )


def trader_key(installation: Installation, *accounts: str, **columns: Any) -> str:
    """A key that may do everything with these accounts, at any rate."""
    terms = {"rate": UNLIMITED, "trading_rate": UNLIMITED, "accounts": orjson.dumps(accounts).decode()}
    return installation.new_key(scopes=SCOPES, **{**terms, **columns})


@dataclass
class Trader:
    """The client of one account. It asks again, in the same words, until it has an answer that tells of no outage.

    attempts: correlation ids of all calls, by client_order_id. acknowledged: ids of orders, by client_order_id.
    unaudited: answers of success whose record was not in the database when they came.
    """

    installation: Installation
    account: str
    key: str = ""
    attempts: dict[str, list[str]] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    unaudited: list[str] = field(default_factory=list)
    outages: int = 0

    def __post_init__(self) -> None:
        self.key = self.key or trader_key(self.installation, self.account)
        self._client = Client(self.installation.port, self.key)

    @property
    def key_id(self) -> int:
        return key_id(self.installation.served.data_dir, self.key)

    def call(self, method: str, path: str, document: object = None, **headers: str) -> Reply:
        """One answer. Raises one of `CUT`."""
        body = None if document is None else orjson.dumps(document)
        json = {"Content-Type": "application/json"} if body else {}
        try:
            return self._client.call(method, f"/api/v1{path}", body, {**json, **headers})
        except CUT:
            self._client.close()
            raise

    def ask(self, name: str, path: str, document: object, **headers: str) -> Reply:
        """POST until there is an answer but 503. name: client_order_id of the order that it is about."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            attempts = self.attempts.setdefault(name, [])
            correlation = f"{name}-{len(attempts)}"
            attempts.append(correlation)
            with contextlib.suppress(*CUT):
                reply = self.call("POST", path, document, **headers, **{"X-Correlation-ID": correlation})
                if reply.status < 300 and audited_status(self.installation, correlation) != [reply.status]:
                    self.unaudited.append(correlation)
                if reply.status != 503:
                    return reply
            assert time.monotonic() < until, path
            self.outages += 1
            time.sleep(_AGAIN_SECONDS)

    def preview(self, order: dict[str, Any]) -> str:
        reply = self.ask(order["client_order_id"], f"/trade/preview?account={self.account}", order)
        assert reply.status == 200, reply.body
        return self._accepted(reply.json())

    def _accepted(self, preview: dict[str, Any]) -> str:
        assert preview["would_be_accepted"], preview
        found: str = preview["preview_id"]
        return found

    def submit(self, order: dict[str, Any]) -> None:
        """Have an order accepted, by its client_order_id alone."""
        name = order["client_order_id"]
        reply = self.ask(name, f"/orders?account={self.account}", order)
        assert reply.status == 201, reply.body
        self.acknowledged[name] = reply.json()["id"]

    def execute(self, order: dict[str, Any], *, is_keyed: bool) -> None:
        """Have an order accepted in two steps; with `is_keyed` also with an Idempotency-Key."""
        name, preview = order["client_order_id"], self.preview(order)
        while True:
            headers = {"Idempotency-Key": preview[-40:]} if is_keyed else {}
            reply = self.ask(name, "/trade/execute", {"preview_id": preview}, **headers)
            answer = reply.json()
            if reply.status == 201 or answer["code"] == "preview_used":
                self.acknowledged[name] = answer["id"] if reply.status == 201 else answer["order_id"]
                return
            assert answer["code"] in {"preview_stale", "preview_expired"}, answer
            preview = self._accepted(answer["preview"]) if "preview" in answer else self.preview(order)

    def trade(self, order: dict[str, Any], chance: random.Random) -> None:
        """Have an order accepted, in one of the three ways in which a client may ask again."""
        way = chance.randrange(3)
        if way:
            self.execute(order, is_keyed=way == 1)
        else:
            self.submit(order)

    def close(self) -> None:
        self._client.close()
