"""`manage.py store cut`: logs go back to an instant, and whoever knew of later commits is told."""

import json
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ops.serve.installation import make_private_folder, sole_user
from store.csv import CsvStore
from store.datasets import DECLARED_INSTRUMENTS, TRADES
from store.expiries import NOTHING_EXPIRED
from store.expiring import REMOVED_AFTER_NS, expire, planned, remove_due
from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, problem
from tests.store.builders import DAY, SECOND, amendment, batch, cancel, trade
from tests.store.expired_days import BEFORE, store_days
from tests.store.walking import logs_of
from trades.stores import market_store

pytestmark = pytest.mark.django_db
AAPL = TRADES, "AAPL"


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("store", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def cut(*arguments: str) -> str:
    return run("cut", *arguments, "--yes")


def time_of(number: int, symbol: str = "AAPL") -> str:
    """The time of a commit of trades, as text."""
    return format_timestamp(market_store().log(TRADES, symbol).committed_at(number))


@pytest.fixture(autouse=True)
def run_dir(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    settings.RUN_DIR = folder
    return folder


def test_all_logs_go_back_to_an_instant_and_on_from_there(store_path: Path):
    store = market_store()
    store.append(batch(trade(1), trade(2)))
    store.append(batch(trade(3)))
    store.set_instrument(Instrument("AAPL", exchange="XNAS"))
    before, until = logs_of(store_path), format_timestamp(store.last_declared_ns(ALL_TIME.end_ns))
    store.append(batch(trade(DAY), trade(4)))
    store.correct(amendment(cancel(1)))
    store.append(batch(trade(5), symbol="MSFT"))
    store.set_instrument(Instrument("AAPL", exchange="XNYS"))
    head, lost = store.log(TRADES, "AAPL").head, (store_path / "trades/AAPL/commits.jsonl").read_bytes()
    run("rebuild")
    kept, declared = (store.log(*log).at(n).commit.token for log, n in ((AAPL, 2), (DECLARED_INSTRUMENTS, 1)))
    assert cut("--until", until).splitlines() == [
        f"trades/AAPL: loses 2 of 4 commits, 2 rows, 1 corrections; newest commit then: {kept}",
        "trades/MSFT: loses 1 of 1 commits, 1 rows, 0 corrections; newest commit then: none",
        f"instruments/ALL: loses 1 of 2 commits, 1 rows, 0 corrections; newest commit then: {declared}",
        "3 logs cut. Their lost records are in commits.cut-*.jsonl beside commits.jsonl",
    ]
    assert logs_of(store_path) == logs_of(store) == before
    assert store.instrument("AAPL").exchange == "XNAS"
    beside = store_path / f"trades/AAPL/commits.cut-{head.token}.jsonl"
    assert (store_path / "trades/AAPL/commits.jsonl").read_bytes() + beside.read_bytes() == lost
    assert "damaged" not in run("verify")
    assert cut("--until", until) == "0 logs cut.\n"
    # The lost rows are stored again, and a symbol without a commit begins anew.
    assert store.append(batch(trade(DAY), trade(6))).commit.number == 3
    assert store.append(batch(trade(5), symbol="MSFT")).commit.number == 1
    assert len(store.log(TRADES, "AAPL").at().rows(ALL_TIME)) == 5
    assert logs_of(CsvStore(store_path)) == logs_of(store)
    assert "damaged" not in run("verify")


def test_a_cut_is_undone_before_the_next_write(store_path: Path):
    for number in range(4):
        market_store().append(batch(trade(number)))
    before, folder = logs_of(store_path), store_path / "trades/AAPL"
    cut("AAPL", "--until", time_of(2))
    (beside,) = folder.glob("commits.cut-4-*.jsonl")
    with (folder / "commits.jsonl").open("ab") as file:
        file.write(beside.read_bytes())
    assert logs_of(store_path) == logs_of(market_store()) == before
    assert "damaged" not in run("verify")


def test_only_named_symbols_are_cut(store_path: Path):
    store = market_store()
    for symbol in ("AAPL", "MSFT"):
        for number in range(2):
            store.append(batch(trade(number), symbol=symbol))
    heads = store.log(TRADES, "AAPL").at(1).commit, store.log(TRADES, "MSFT").head
    cut("aapl", "--until", time_of(1, "MSFT"))
    assert store.log(TRADES, "AAPL").head != heads[0]  # its second commit was earlier
    cut("aapl", "--until", time_of(1))
    assert (store.log(TRADES, "AAPL").head, store.log(TRADES, "MSFT").head) == heads


def test_a_cut_of_the_symbol_all_leaves_the_declarations(store_path: Path):
    store = market_store()
    for number in range(2):
        store.append(batch(trade(number), symbol="ALL"))
    store.set_instrument(Instrument("AAPL", exchange="XNAS"))
    store.set_instrument(Instrument("AAPL", exchange="XNYS"))
    assert "instruments" not in cut("ALL", "--until", time_of(1, "ALL"))
    assert store.log(TRADES, "ALL").head.number == 1
    assert store.instrument("AAPL").exchange == "XNYS"


def test_what_cannot_be_cut_is_refused_in_a_sentence(store_path: Path, run_dir: Path, monkeypatch: Any):
    market_store().append(batch(trade(1)))
    first, before = time_of(1), logs_of(store_path)
    early = "2025-01-01T00:00:00Z"
    refusals: dict[str, Callable[[], object]] = {
        "nothing is stored under the symbol NONE": lambda: cut("NONE", "--until", first),
        f"{early} is before the first commit, of {first}: nothing would be left": lambda: cut(
            "--until", early
        ),
        "--until yesterday is not a time such as 2025-01-02T12:00:00Z": lambda: cut("--until", "yesterday"),
    }
    for message, refused in refusals.items():
        with pytest.raises(CommandError, match=message):
            refused()
    make_private_folder(run_dir)
    with (
        sole_user(run_dir),
        pytest.raises(CommandError, match=r"already uses the data folder.* Stop it first"),
    ):
        cut("--until", first)
    market_store().append(batch(trade(2)))
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="nothing was cut"):
        run("cut", "--until", first)
    monkeypatch.undo()
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="add --yes where nobody can be asked"):
        run("cut", "--until", first)
    assert logs_of(store_path)["trades/AAPL"][: len(before["trades/AAPL"])] == before["trades/AAPL"]
    assert market_store().log(TRADES, "AAPL").head.number == 2


@pytest.mark.parametrize("is_removed", [False, True], ids=["recorded", "removed"])
def test_expired_rows_come_back_unless_they_were_deleted(store_path: Path, is_removed: bool):
    store = market_store()
    store_days(store)
    before, until = logs_of(store_path), time_of(store.log(TRADES, "AAPL").head.number)
    expire(store, planned(store, TRADES, "AAPL", BEFORE))
    if is_removed:
        remove_due(store, TRADES, "AAPL", time.time_ns() + REMOVED_AFTER_NS + SECOND)
        deleted = time_of(store.log(TRADES, "AAPL").head.number)
        with pytest.raises(
            CommandError, match=f"trades/AAPL: expired rows were deleted after {deleted}: cut at"
        ):
            cut("--until", until)
        assert store.log(TRADES, "AAPL").at().expired.removed_before_ns == BEFORE
    else:
        cut("--until", until)
        assert logs_of(store_path) == before
        assert store.log(TRADES, "AAPL").at().expired == NOTHING_EXPIRED


def test_a_store_without_files_is_not_cut(settings: Any, tmp_path: Path):
    options = {"path": tmp_path / "memory"}
    settings.MARKET_STORES = {"default": {"BACKEND": "tests.store_settings.memory_store", "OPTIONS": options}}
    with pytest.raises(CommandError, match="has no files to maintain"):
        cut("--until", "2025-01-01T00:00:00Z")


# What others know of commits that were cut. Export jobs: tests/jobs/exports/test_resuming.py; accounts: tests/trading/engine/test_broken_logs.py.
ROWS = [
    {"timestamp": f"2025-01-02T14:30:0{number}Z", "price": 1 + number, "volume": 1} for number in range(4)
]


@pytest.fixture
def until(api: Api, store_path: Path) -> str:
    """The instant of the second of four commits, each of one row, with a key."""
    for number, row in enumerate(ROWS):
        assert answer(send(api, number))["stored"] == 1, row
    return time_of(2)


def send(api: Api, number: int) -> Any:
    body = json.dumps({"trades": [{"symbol": "AAPL", **ROWS[number]}]}).encode()
    return api.ingest(body, Idempotency_Key=f"key-{number}")


def test_an_idempotency_key_of_a_lost_commit_stores_again(api: Api, until: str):
    cut("--until", until)
    known, lost = send(api, 1), send(api, 2)
    assert known.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in lost.headers
    assert (answer(known)["commit"], answer(lost)["commit"], answer(lost)["stored"]) == (2, 3, 1)


def test_cursors_and_tokens_of_lost_commits_are_refused(api: Api, until: str):
    path = "/api/v1/market-data/equities/AAPL/trades"
    query = {"start": "2025-01-02T14:00:00Z", "end": "2025-01-02T15:00:00Z", "limit": "1"}
    cursor = answer(api.get(path, query))["next_cursor"]
    token = market_store().log(TRADES, "AAPL").head.token
    cut("--until", until)
    for _ in range(2):
        assert problem(api.get(path, {**query, "cursor": cursor})) == (409, "resync")
        assert problem(api.get(f"{path}/commits", {"after": token})) == (409, "resync")
        # Other rows under the numbers of the lost commits are other commits.
        market_store().append(batch(trade(DAY), trade(2 * DAY)))
        market_store().append(batch(trade(3 * DAY)))


def test_an_import_of_lost_rows_begins_again(store_path: Path, tmp_path: Path):
    market_store().append(batch(trade(1)))
    file = tmp_path / "AAPL.csv"
    file.write_text("timestamp,price,volume\n2025-01-03T12:00:00Z,1,1\n")
    call_command("import", str(file), "--yes", stdout=StringIO(), stderr=StringIO())
    assert market_store().log(TRADES, "AAPL").head.number == 2
    cut("--until", time_of(1))
    call_command("import", str(file), "--yes", stdout=StringIO(), stderr=StringIO())
    assert market_store().log(TRADES, "AAPL").head.number == 2
    assert len(market_store().log(TRADES, "AAPL").at().rows(ALL_TIME)) == 2
