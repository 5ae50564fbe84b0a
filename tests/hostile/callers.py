"""Keys of every kind of grant, and which of them an operation is open to."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from django.urls import resolve

from ratelimit.access.scopes import ALL_SCOPES, SCOPES
from tests.hostile import stock
from tests.hostile.operations import Operation
from tests.system.installation import UNLIMITED, Installation
from web.endpoints import ANY_CALLER, ANYBODY, Access, access_of

NO_SCOPES = "none"
GRANTS = (*SCOPES, ALL_SCOPES, NO_SCOPES)
# Far from all that a request could hit upon: the keys that the tests themselves need are not revoked by them.
_ids = count(9 * 10**11, 10**6)
# Of the one key with all scopes, which owns the stored jobs and webhooks. The ids behind it are those of keys that calls make.
OWNER = 9 * 10**11 - 10**6
_all: dict[int, tuple[Installation, str]] = {}


def key_with(installation: Installation, grant: str) -> str:
    """A key with one scope, with all (of an installation one) or with none, and without a limit to speak of."""
    if grant == ALL_SCOPES and id(installation) in _all:
        return _all[id(installation)][1]
    scopes = {ALL_SCOPES: SCOPES, NO_SCOPES: ()}.get(grant, (grant,))
    key = installation.new_key(
        id=OWNER if grant == ALL_SCOPES else next(_ids),
        tier="internal",
        rate=UNLIMITED,
        trading_rate=UNLIMITED,
        scopes=scopes,
        accounts='["*"]',
    )
    if grant == ALL_SCOPES:
        _all[id(installation)] = installation, key
    return key


class Database(Protocol):
    """What rows are put into: an installation's database, or the test's."""

    def insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Put rows into a table."""

    def new_keys(self, several: Iterable[dict[str, Any]]) -> list[str]:
        """Put keys into the database; return their texts."""


def stock_database(installation: Database) -> None:
    """Store the keys that requests may read, rotate and revoke, and the jobs, the account and the order that they see."""
    now = datetime.now(UTC).isoformat(" ")
    owner = f"key:{OWNER}"
    job = {
        "uuid": stock.JOB.replace("-", ""), "kind": "backfill", "state": "succeeded", "owner": owner,
        "created_by": owner, "correlation_id": "", "parameters": "{}", "once_key": "", "turn": "", "urgency": 0,
        "callback_url": "", "done": 0, "note": "{}", "result": "{}", "attempts": 1, "cancel_requested": False, "not_before": now,
        "created_at": now, "finished_at": now,
    }  # fmt: skip
    week = {"strategy": "crossover", "symbols": ["DEMOA"], "start": "2030-01-07", "end": "2030-01-12"}
    backtest = {
        "uuid": stock.BACKTEST.replace("-", ""), "kind": "backtest", "parameters": json.dumps(week),
    }  # fmt: skip
    export = {"uuid": stock.EXPORT.replace("-", ""), "kind": "export"}
    installation.insert("jobs_job", [job, job | backtest, job | export])
    installation.insert("trading_account", [stock.ACCOUNT_ROW])
    installation.insert("trading_orderrow", [stock.ORDER_ROW])
    installation.insert("trading_targetmodel", [stock.MODEL_ROW])
    _stock_webhooks(installation, owner, now)
    firsts = ((stock.FIRST_KEY, stock.KEYS), (stock.FIRST_ROTATED_KEY, stock.ROTATED_KEYS))
    installation.new_keys(
        {"id": first + number, "owner": owner} for first, several in firsts for number in range(several)
    )


def _stock_webhooks(installation: Database, owner: str, now: str) -> None:
    webhook, delivery, alert = (
        each.replace("-", "") for each in (stock.WEBHOOK, stock.DELIVERY, stock.ALERT)
    )
    made = {"owner": owner, "created_at": now}
    of_webhook = {
        "id": 1, "uuid": webhook, "url": "https://receiver.invalid/", "kinds": '["job.failed"]', "accounts": "[]",
        "symbols": "[]", "secret": "", "old_secret": "", "state": "paused", "paused_because": "by_owner", "is_slow": False,
        "leased_until": now, "is_callback": False, **made,
    }  # fmt: skip
    event = {
        "id": 1, "uuid": delivery, "kind": "job.failed", "subject": "job:1", "account": "", "symbol": "", "data": "{}",
        "correlation_id": "", "fanned_out_at": now, **made,
    }  # fmt: skip
    of_delivery = {
        "uuid": delivery, "event_id": 1, "webhook_id": 1, "url": "", "subject": "job:1", "state": "failed", "attempts": 8,
        "next_at": now, "error": "", "answer": "", "created_at": now, "ended_at": now,
    }  # fmt: skip
    of_alert = {
        "uuid": alert, "symbol": stock.SYMBOL, "kind": "silence", "direction": "", "seconds": 86_400,
        "state": "armed", "armed_at": now, "commit": 0, "commit_hash": "", **made,
    }  # fmt: skip
    installation.insert("webhooks_webhook", [of_webhook])
    installation.insert("webhooks_webhookevent", [event])
    installation.insert("webhooks_delivery", [of_delivery])
    installation.insert("webhooks_marketalert", [of_alert])


def is_open(operation: Operation, grant: str) -> bool:
    """Whether the access of its view lets a key with that grant call it."""
    access = _access_of(operation)
    return access.scope in (ANYBODY, ANY_CALLER) or grant in (ALL_SCOPES, access.scope, access.or_scope)


def one_that_may(operation: Operation, rng: random.Random) -> str:
    return rng.choice([grant for grant in GRANTS if is_open(operation, grant)])


def _access_of(operation: Operation) -> Access:
    path = operation.path
    for parameter in operation.of_place("path"):
        path = path.replace(f"{{{parameter.name}}}", "1")
    access = access_of(resolve(path).func, operation.method)
    assert access is not None, operation
    return access
