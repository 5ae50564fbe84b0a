"""A process of its own over an installation's database, which does on many threads at once what it is told.

Commands and answers are JSON, one a line, on standard input and output. `at` is when they begin, in seconds
since the epoch: other processes begin then, too.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import django

django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, connection, connections, transaction  # noqa: E402
from django.test import Client  # noqa: E402

from audit.chain.verify import chain_verify  # noqa: E402
from audit.models import AuditRecord  # noqa: E402
from audit.services import event_record  # noqa: E402
from ops.serve.database_lock import DutyLock  # noqa: E402
from ratelimit.credentials.identify import caller_stored  # noqa: E402
from ratelimit.credentials.sessions import session_begin, session_continue, session_end  # noqa: E402
from ratelimit.credentials.signed_requests import nonce_use  # noqa: E402
from ratelimit.exceptions import RateLimitError  # noqa: E402
from ratelimit.keys.selectors import key_named  # noqa: E402
from ratelimit.keys.services import key_create, key_revoke, key_rotate  # noqa: E402
from ratelimit.limits.quotas import DAY, QuotaCharge, QuotaCounts  # noqa: E402  # noqa: E402
from ratelimit.models import ApiKey, TokenSession  # noqa: E402
from tests.ops.outbound.test_addresses import LOOPBACK  # noqa: E402
from tests.patience import PATIENCE_SECONDS  # noqa: E402
from tests.ratelimit.credentials.logins import PASSWORD, person  # noqa: E402
from webhooks.events import event_write  # noqa: E402
from webhooks.sending import Sender  # noqa: E402
from webhooks.services import webhook_create  # noqa: E402

THREADS = 5
settings.ALLOWED_HOSTS = ["*"]


def migrate() -> Any:
    """Make the tables."""
    call_command("migrate", interactive=False, verbosity=0)


def at_once(work: Callable[[], Any], at: float) -> list[Any]:
    """What that becomes on each of THREADS threads, which begin together."""
    answers: list[Any] = []

    def run() -> None:
        time.sleep(max(0.0, at - time.time()))
        try:
            answers.append(work())
        except RateLimitError as error:
            answers.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def use_nonce(*, nonce: str, at: float) -> Any:
    now = datetime.now(UTC)
    return at_once(lambda: nonce_use(identity="key:1", nonce=nonce, useless_at=now), at)


def count(*, identity: str, most: int, at: float) -> Any:
    """Write counts that each thread saw in Redis. Returns what the database has then."""
    now_us = int(time.time()) * 1_000_000
    quotas = (QuotaCharge(DAY, 1_000, 1),)

    def written() -> str:
        counts = QuotaCounts()
        for used in range(1, most + 1):
            counts.note(identity, quotas, [used], now_us=now_us)
            counts.flush()
        return "written"

    at_once(written, at)
    return QuotaCounts().known(identity, quotas, now_us=now_us)


def create(**terms: Any) -> Any:
    return key_create(name="feed", scopes=["market:read"], now=datetime.now(UTC), actor="test", **terms).id


def rotate(*, key_id: int, at: float) -> Any:
    """The new digest, or why there is none."""
    key, now = key_named(str(key_id)), datetime.now(UTC)

    def one() -> str:
        return key_rotate(key=key, overlap=timedelta(0), now=now, actor="test").stored.digest

    return at_once(one, at)


def manager() -> Any:
    """A key that may make and change keys."""
    grants: Any = {"tier": "internal", "scopes": ["all"], "sensitivity": "confidential", "accounts": ["*"]}
    return key_create(name="manager", now=datetime.now(UTC), actor="test", rate=10**6, **grants).key


def revoke_both_ways(*, key: str, key_ids: list[int], at: float) -> Any:
    """What becomes of each key, which one thread revokes by a call and another by the service, at once."""

    def by_call(key_id: int) -> Any:
        return Client(headers={"X-API-Key": key}).delete(f"/api/v1/keys/{key_id}").status_code

    def by_service(key_id: int) -> Any:
        key_revoke(key=key_named(str(key_id)), now=datetime.now(UTC), actor="test")
        return 200

    works = iter([partial(by, key_id) for key_id in key_ids for by in (by_call, by_service)])
    lock = threading.Lock()

    def work() -> Any:
        statuses: list[int] = []
        while True:
            with lock:
                one = next(works, None)
            if one is None:
                return statuses
            statuses.append(one())

    return [status for statuses in at_once(work, at) for status in statuses]


def digest(*, key_id: int) -> Any:
    return ApiKey.objects.get(pk=key_id).digest


def record(*, actor: str, count: int, at: float) -> Any:
    """`count` records, by all threads together."""
    now = datetime.now(UTC)

    def records() -> None:
        for number in range(count // THREADS):
            event_record(
                at=now, actor=actor, audit_class="keys", event="race", subject=str(number), detail={}
            )

    return at_once(records, at)


def verify() -> Any:
    found = chain_verify()
    written = AuditRecord.objects.filter(event="race").count()
    return {"findings": [str(each) for each in found.findings], "records": found.records, "written": written}


def run(*, statement: str) -> Any:
    """What the database says against a statement; None if it takes it."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        return str(error).splitlines()[0]
    return None


def log_out_during_a_refresh() -> Any:
    """A refresh that is committed only when the log-out of the same session waits for it; then how many sessions are open."""
    person(scopes=["market:read"])
    now = datetime.now(UTC)
    pair = session_begin(username="ada", password=PASSWORD, request=None, now=now)
    is_refreshed, is_awaited = threading.Event(), threading.Event()

    def refresh() -> None:
        with transaction.atomic():
            session_continue(refresh=pair.refresh, address="127.0.0.1", now=now)
            is_refreshed.set()
            is_awaited.wait(PATIENCE_SECONDS)
        connections.close_all()

    def log_out() -> None:
        session_end(refresh=pair.refresh, now=now)
        connections.close_all()

    refreshing, logging_out = threading.Thread(target=refresh), threading.Thread(target=log_out)
    refreshing.start()
    is_refreshed.wait(PATIENCE_SECONDS)
    logging_out.start()
    has_waited = _waits_somebody()
    is_awaited.set()
    refreshing.join()
    logging_out.join()
    return {"waited": has_waited, "living": TokenSession.objects.filter(ended_at=None).count()}


def subscribe(*, url: str) -> Any:
    """A webhook's secret."""
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK
    values = {"url": url, "kinds": ["correction"]}
    caller = caller_stored(f"key:{create(sensitivity='internal')}", now=datetime.now(UTC))
    return webhook_create(caller=caller, values=values, now=datetime.now(UTC))[1]


def tell_and_send(*, count: int, at: float) -> Any:
    """Each thread tells of a subject of its own, and sends whatever is due."""
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK

    def work() -> None:
        sender, subject = Sender(), str(uuid4())
        for number in range(count):
            with transaction.atomic():
                event_write(
                    kind="correction",
                    subject=subject,
                    data={"subject": subject, "number": number},
                    now=datetime.now(UTC),
                )
                time.sleep(random.random() / 100)
            sender.round(seconds=0.01)
        sender.round(seconds=PATIENCE_SECONDS)

    return at_once(work, at)


lock = DutyLock()


def take_duties(*, at: float) -> Any:
    """Whether this process runs the duties."""
    time.sleep(max(0.0, at - time.time()))
    lock.look()
    return lock.is_held


def lose_connection() -> Any:
    """End the session that holds locks, as a network that is cut does."""
    connection.connection.close()


def _waits_somebody() -> bool:
    """Whether a connection comes to wait for a lock."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.01)
    return False


COMMANDS = {
    command.__name__: command
    for command in (
        migrate,
        use_nonce,
        count,
        create,
        rotate,
        manager,
        revoke_both_ways,
        digest,
        record,
        verify,
        run,
        log_out_during_a_refresh,
        subscribe,
        tell_and_send,
        take_duties,
        lose_connection,
    )
}

for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(COMMANDS[asked.pop("do")](**asked)), flush=True)  # noqa: T201
