"""A real day of trades, sent shuffled and partly twice by several clients, is stored once and gives pandas' bars."""

import queue
import random
import threading
from pathlib import Path

import orjson
import pandas as pd
import pytest
from django.conf import settings

from tests.system.clients import Crowd, clients_of_every_web, trades_body
from tests.system.installation import UNLIMITED

pytestmark = pytest.mark.xdist_group("installation")

TICKS = settings.REAL_DATA / "equity" / "ibm_20131007_tick_trade.csv"
BATCH_ROWS = 1_000
FREQUENCIES = {"1min": "1min", "5min": "5min", "1h": "1h", "1d": "1D"}


@pytest.fixture(scope="module")
def ticks() -> pd.DataFrame:
    if not TICKS.exists():
        pytest.skip(f"the real ticks are not here: {TICKS} (REAL_DATA names their folder)")
    raw = pd.read_csv(TICKS)
    local = pd.Timestamp("2013-10-07") + pd.to_timedelta(raw["ms_since_midnight_exch"], unit="ms")
    utc = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    return pd.DataFrame(
        {
            "timestamp": utc.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "price": raw["price_x10000"] / 10_000,
            "volume": raw["size"],
            "exchange": raw["exchange"],
            "trade_id": [str(row) for row in range(len(raw))],
            "sequence": range(len(raw)),
        }
    )


def deliveries(ticks: pd.DataFrame, seed: int) -> list[bytes]:
    """Batches in a random order, every third of them once more somewhere behind."""
    rows = ticks.to_dict("records")
    bodies = [
        trades_body("IBM", rows[start : start + BATCH_ROWS]) for start in range(0, len(rows), BATCH_ROWS)
    ]
    bodies += bodies[::3]
    random.Random(seed).shuffle(bodies)
    return bodies


@pytest.fixture(scope="module")
def stored(ticks, shared, seed):
    """The answers to all deliveries, by four clients at once over both web processes."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in deliveries(ticks, seed):
        waiting.put(body)
    answers: list[dict[str, int]] = []

    def send(client, _stopping: threading.Event) -> None:
        while True:
            try:
                body = waiting.get_nowait()
            except queue.Empty:
                return
            reply = client.ingest_patiently(body)
            assert reply.status == 200, reply.body
            answers.append(reply.json())

    assert shared.is_ready()
    key = shared.new_key(rate=UNLIMITED)
    with clients_of_every_web(shared.served, key, each=2) as clients, Crowd(clients, send) as crowd:
        crowd.end()
    assert crowd.errors == []
    return answers


def test_each_trade_is_stored_once(ticks, stored):
    sent_again = sum(len(ticks[start : start + BATCH_ROWS]) for start in range(0, len(ticks), 3 * BATCH_ROWS))
    assert sum(answer["stored"] for answer in stored) == len(ticks)
    assert sum(answer["duplicates"] for answer in stored) == sent_again > 0


def own_rows(data_dir: Path) -> pd.DataFrame:
    """The store's files as pandas reads them, by time, sequence and arrival."""
    files = sorted((data_dir / "trades" / "IBM").glob("*.csv"))
    table = pd.concat([pd.read_csv(file, dtype={"trade_id": str}) for file in files])
    table["timestamp"] = pd.to_datetime(table["timestamp"], utc=True)
    return table.reset_index(drop=True).sort_values(["timestamp", "sequence"], kind="stable")


def resampled(rows: pd.DataFrame, frequency: str) -> list[dict[str, object]]:
    grouped = rows.set_index("timestamp").resample(frequency)
    bars = grouped["price"].ohlc().assign(volume=grouped["volume"].sum())[grouped.size() > 0]
    bars.insert(0, "timestamp", bars.index.strftime("%Y-%m-%dT%H:%M:%SZ"))
    records: list[dict[str, object]] = bars.to_dict("records")
    return records


@pytest.mark.usefixtures("stored")
def test_the_files_hold_what_was_sent(ticks, installation):
    kept = own_rows(installation.served.data_dir).sort_values("sequence", kind="stable")
    assert kept["trade_id"].tolist() == ticks["trade_id"].tolist()
    assert kept["price"].tolist() == ticks["price"].tolist()
    assert kept["volume"].tolist() == ticks["volume"].tolist()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("interval", FREQUENCIES)
def test_bars_equal_those_of_pandas(installation, interval):
    expected = resampled(own_rows(installation.served.data_dir), FREQUENCIES[interval])
    with clients_of_every_web(installation.served, installation.key, each=1) as clients:
        answers = [client.bars("IBM", interval).body for client in clients]
    assert answers[0] == answers[1]
    assert orjson.loads(answers[0])["data"] == expected
    assert expected
