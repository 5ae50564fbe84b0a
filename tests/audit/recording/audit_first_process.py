"""A process of its own that makes a key through the API over a database file, once for each fault.

Argument: a folder with a migrated database. Prints one line of JSON: for each fault how the call's process ended, the
status and code of the answer, how many keys and records of the call are left, and whether the chain is whole.
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 after the setup, as everything below
from django.db import OperationalError, connection, connections, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from audit.chain.verify import chain_verify  # noqa: E402
from audit.models import AuditRecord  # noqa: E402
from audit.recording import audit_first  # noqa: E402
from audit.services import event_record  # noqa: E402
from ratelimit.keys.services import key_create  # noqa: E402
from ratelimit.models import ApiKey  # noqa: E402

# Its commit is what no interface names.
_CONNECTION: Any = connections["default"]
# Django is set up once, and each call is made in a copy of this process.
_COPIES = multiprocessing.get_context("fork")
NEW_KEY = {"name": "new", "tier": "default", "scopes": ["market:read"]}


def main(migrated: str) -> None:
    sys.stdout.write(json.dumps({fault: outcome(fault, Path(migrated)) for fault in FAULTS}))


def outcome(fault: str, migrated: Path) -> dict[str, Any]:
    folder = migrated / fault
    folder.mkdir(0o700)
    database, answer = folder / "marketdata.sqlite3", folder / "answer.json"
    shutil.copy(migrated / database.name, database)
    connection.settings_dict["NAME"], settings.AUDIT_DIR = str(database), folder / "audit"
    process = _COPIES.Process(target=attempt, args=(fault, database, answer))
    process.start()
    process.join()
    left = [ApiKey.objects.filter(name="new").count(), AuditRecord.objects.filter(method="POST").count()]
    is_whole = not chain_verify().findings
    connection.close()
    said = json.loads(answer.read_text()) if answer.exists() else None
    return {"ended": process.exitcode, "answer": said, "left": left, "is_whole": is_whole}


def attempt(fault: str, database: Path, answer: Path) -> None:
    """Make a key, and write the status and the code of the answer into a file."""
    settings.ALLOWED_HOSTS = ["*"]
    connection.settings_dict["OPTIONS"]["timeout"] = 0.2
    headers = {"X-API-Key": made_key()}
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        connection.ensure_connection()
        FAULTS[fault](other)
        got = Client().post(
            "/api/v1/keys", json.dumps(NEW_KEY), content_type="application/json", headers=headers
        )
    answer.write_text(json.dumps([got.status_code, got.json().get("code")]))


def made_key() -> str:
    return key_create(
        name="first",
        tier="internal",
        scopes=("all",),
        sensitivity="confidential",
        accounts=("*",),
        now=timezone.now(),
        actor="test",
    ).key


def sound(other):
    """Nothing is wrong."""


def locked(other):
    """Another connection writes and does not end."""
    other.execute("BEGIN IMMEDIATE")


def read_only(other):
    """The database takes no writes."""
    connection.connection.execute("PRAGMA query_only = ON")


def full(other):
    """The database may not grow, and what it has is full."""
    raw = connection.connection
    raw.execute(f"PRAGMA max_page_count = {raw.execute('PRAGMA page_count').fetchone()[0]}")
    with suppress(OperationalError):
        while True:
            with transaction.atomic():
                event_record(
                    at=timezone.now(), actor="", audit_class="", event="filler", subject="", detail={}
                )


def full_file(other):
    """No file may grow: the disk's own refusal."""
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


def killed_before_the_record(other):
    """kill -9 when the key is made and its record is not."""
    vars(audit_first)["records_append"] = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)


def killed_before_the_commit(other):
    """kill -9 when both are made and neither is committed."""
    _CONNECTION._commit = lambda: os.kill(os.getpid(), signal.SIGKILL)


def killed_after_the_commit(other):
    """kill -9 when both are committed and the answer has not gone out."""
    commit = _CONNECTION._commit

    def commit_and_end():
        commit()
        os.kill(os.getpid(), signal.SIGKILL)

    _CONNECTION._commit = commit_and_end


FAULTS = {
    "sound": sound,
    "locked": locked,
    "read-only": read_only,
    "full": full,
    "full-file": full_file,
    "killed-before-the-record": killed_before_the_record,
    "killed-before-the-commit": killed_before_the_commit,
    "killed-after-the-commit": killed_after_the_commit,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
