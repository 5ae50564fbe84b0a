"""All trades of many dates in one answer, in order, while the web processes stay as large as they were.

SOAK=1: ten million.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pytest

from store.datasets import TRADES
from store.protocol import Window
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.hostile.gauge import MIB
from tests.stats.market_data import tapes
from tests.system.installation import WORKERS, Installation
from tests.system.streaming import Webs, await_folded, body, streamed

pytestmark = pytest.mark.xdist_group("installation")

DAYS, ROWS_A_DAY = (10, 1_000_000) if SOAK else (3, 200_000)
ROWS = DAYS * ROWS_A_DAY
SYMBOL = "LONG"
FIRST_DAY = parse_timestamp("2025-03-03T00:00:00Z")
RANGE = f"start=2025-03-03&end={format_timestamp(FIRST_DAY + DAYS * DAY_NS)}"
HOUR = "start=2025-03-03T12:00:00Z&end=2025-03-03T13:00:00Z"
ALLOWED_MIB = 32
COLUMNS = pa.schema(
    {
        "timestamp": pa.timestamp("ns", "UTC"),
        "price": pa.float64(),
        "volume": pa.float64(),
        "trade_id": pa.string(),
        "sequence": pa.int64(),
    }
)


@dataclass(slots=True)
class Summary:
    """What is known of rows that came one after the other: how many, the times of the first and the last, exact sums."""

    rows: int = 0
    first_ns: int = 0
    last_ns: int = 0
    volume: int = 0
    cents: int = 0

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take further rows in.

        Each must be the one behind the last, by its sequence and its id, and not before it in time.
        """
        time_ns = rows.column("timestamp").cast(pa.int64()).to_numpy()
        numbers = np.arange(self.rows, self.rows + len(time_ns))
        assert (rows.column("sequence").to_numpy() == numbers).all()
        assert rows.column("trade_id").to_pylist() == [f"t{number}" for number in numbers]
        assert (np.diff(time_ns, prepend=self.last_ns) >= 0).all()
        self.first_ns = self.first_ns or int(time_ns[0])
        self.last_ns = int(time_ns[-1])
        self.rows += len(time_ns)
        self.volume += int(rows.column("volume").to_numpy().sum())
        self.cents += int(np.rint(rows.column("price").to_numpy() * 100).sum())


@pytest.fixture(scope="module")
def stored(shared: Installation) -> Summary:
    """Trades of several dates, in the store's files, folded; what they are."""
    assert shared.is_ready()
    store, chance, summary = shared.store, np.random.default_rng(13), Summary()
    for day in range(DAYS):
        window = Window(FIRST_DAY + day * DAY_NS, FIRST_DAY + (day + 1) * DAY_NS)
        rows = tapes.trades(chance, tapes.times(chance, window, ROWS_A_DAY), first=day * ROWS_A_DAY)
        summary.add(rows)
        tapes.store_rows(store, TRADES, SYMBOL, rows)
    await_folded(store, TRADES, SYMBOL)
    return summary


def path(query: str, format_name: str) -> str:
    return f"/api/v1/market-data/equities/{SYMBOL}/trades/stream.{format_name}?{query}"


def whole_lines(response: HTTPResponse) -> Iterator[bytes]:
    """The body in pieces that end with a line."""
    begun = b""
    while piece := response.read(MIB):
        whole, end, begun = (begun + piece).rpartition(b"\n")
        if end:
            yield whole + end
    assert not begun


def objects(response: HTTPResponse) -> Iterator[pa.Table]:
    schema = COLUMNS.set(0, pa.field("timestamp", pa.string()))
    options = pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    for lines in whole_lines(response):
        text = pajson.read_json(io.BytesIO(lines), parse_options=options)
        yield text.cast(COLUMNS)


def cells(response: HTTPResponse) -> Iterator[pa.Table]:
    names = response.readline().decode().strip().split(",")
    convert = pacsv.ConvertOptions(
        column_types={field.name: field.type for field in COLUMNS}, include_columns=COLUMNS.names
    )
    for lines in whole_lines(response):
        yield pacsv.read_csv(
            io.BytesIO(lines), pacsv.ReadOptions(column_names=names), convert_options=convert
        )


def batches(response: HTTPResponse) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(response) as reader:
        yield from reader


READERS: dict[str, Callable[[HTTPResponse], Iterator[pa.Table | pa.RecordBatch]]] = {
    "ndjson": objects,
    "csv": cells,
    "arrow": batches,
}


@pytest.fixture
def webs(installation: Installation, stored: Summary) -> Webs:
    """Both processes, once they have sent a short stream in every format, and rest."""
    for format_name in READERS:
        for _ in range(3 * WORKERS):
            body(installation.port, installation.key, path(HOUR, format_name))
    webs = Webs(installation)
    assert eventually(webs.stand_still)
    return webs


@pytest.mark.soak
@pytest.mark.parametrize("format_name", READERS)
def test_a_long_stream_is_all_rows_and_leaves_the_server_as_large_as_it_was(
    installation: Installation, webs: Webs, stored: Summary, told: Told, format_name: str
):
    memory, most = webs.gauge.anonymous_mib(), 0.0
    found = Summary()
    with streamed(installation.port, installation.key, path(RANGE, format_name)) as response:
        assert response.status == 200
        for rows in READERS[format_name](response):
            found.add(rows)
            most = max(most, webs.gauge.anonymous_mib() - memory)
    assert (found, found.rows) == (stored, ROWS)
    told(f"{ROWS:,} trades as {format_name}", f"memory of its own {most:+.1f} MiB")
    assert most < ALLOWED_MIB
