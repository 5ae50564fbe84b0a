"""A store of servers and the tables of Django are restored to an instant, as docs/storage.md says, on other databases."""

import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.marketdata_project.serve_process import serving
from tests.system.batches import Batch
from tests.system.clickhouse import clickhouse
from tests.system.clients import Client, connected
from tests.system.installation import ENVIRONMENT, WEB_ONLY, installed
from tests.system.live_clients import talking
from tests.system.postgresql import postgresql

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("cluster")]

PAGE = "/api/v1/market-data/equities/AAPL/trades?start=2025-01-02&end=2025-01-02T00:00:30Z&limit=5"
ROWS = 20


def stored(client: Client, number: int) -> str:
    """Store a batch; the token of its commit."""
    answer = client.ingest(Batch(number, "AAPL", ROWS, has_ids=True).body)
    assert (answer.status, answer.json()["stored"]) == (200, ROWS), answer.body
    return str(answer.headers["x-commit"])


def volume(client: Client) -> float:
    """The numbers of the batches that are stored, ROWS times."""
    bars = client.get("/v1/stats/ohlc?symbol=AAPL&interval=1d")
    assert bars.status == 200, bars.body
    return float(sum(each["volume"] for each in bars.json()["data"]))


def after(client: Client, page: Any) -> tuple[int, str]:
    """The status and code of the page after one."""
    answer = client.get(f"{PAGE}&{urlencode({'cursor': page.json()['next_cursor']})}")
    return answer.status, answer.json().get("code", "")


def resynced(port: int, key: str, token: str) -> bool:
    """Whether a follower that comes with a token is told to forget what it has."""
    with talking(port, key) as talk:
        talk.send(op="subscribe", channels=["trades:AAPL"], **{"from": {"trades:AAPL": token}})
        return bool(
            talk.next(lambda message: message.get("op") in {"resync", "error"} or "seq" in message)["op"]
            == "resync"
        )


def test_tables_and_store_are_restored_to_an_instant(tmp_path: Path):
    with ExitStack() as stack:
        postgres, hosts = stack.enter_context(postgresql()), stack.enter_context(clickhouse())
        settings: dict[str, Any] = {**WEB_ONLY, "LOAD_SAMPLE": "0", "DATABASE_URL": postgres}
        first = stack.enter_context(
            installed(tmp_path, **settings, MARKET_STORE=f"clickhouse://{hosts}/market")
        )
        key, dump, backup = first.key, tmp_path / "tables", tmp_path / "backup"
        with connected(first.port, key) as client:
            stored(client, 1)
            kept = client.get(PAGE)
            subprocess.run(["pg_dump", "-Fc", "-n", "public", "-f", str(dump), postgres], check=True)
            stored(client, 2)
            instant = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            token, lost = stored(client, 3), client.get(PAGE)
            assert volume(client) == ROWS * (1 + 2 + 3)
            assert {after(client, each) for each in (kept, lost)} == {(200, "")}
        url = f"clickhouse://{hosts}/market?{urlencode({'postgres': postgres})}"
        first.served.manage("store", "copy", url, str(backup))
        first.served.kill()
        # The restore.
        restored = postgres.replace("/postgres?", "/restored?")
        subprocess.run(["psql", "-qc", "CREATE DATABASE restored", postgres], check=True)
        subprocess.run(["pg_restore", "--clean", "--if-exists", "-d", restored, str(dump)], check=True)
        again = f"clickhouse://{hosts}/restored?{urlencode({'postgres': restored})}"
        said = first.served.manage("store", "cut", "--until", instant, "--yes", DATA_DIR=str(backup))
        assert "trades/AAPL: loses 1 of 3 commits, 20 rows, 0 corrections" in said
        assert "1 logs, 40 rows copied" in first.served.manage("store", "copy", str(backup), again)
        assert "1 logs, 2 commits, 40 rows" in first.served.manage("store", "verify", "--store", again)
        environment = {**ENVIRONMENT, **settings, "DATABASE_URL": restored, "MARKET_STORE": again}
        second = stack.enter_context(serving(tmp_path, **environment))
        with connected(second.port, key) as client:
            assert volume(client) == ROWS * (1 + 2)
            assert after(client, kept) == (200, "")
            assert after(client, lost)[1] == "resync"
            assert resynced(second.port, key, token)
            # Its number comes again, with another hash.
            number, _, its_hash = stored(client, 4).partition("-")
            assert token.startswith(f"{number}-")
            assert not token.endswith(its_hash)
            assert after(client, lost)[1] == "resync"
            assert resynced(second.port, key, token)
            assert volume(client) == ROWS * (1 + 2 + 4)
