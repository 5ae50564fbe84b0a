"""Names that lead elsewhere and texts that are more than text, over HTTP: no file outside the store, every text as it was."""

import csv
import io
import random
from typing import Any

import orjson
import pyarrow as pa
import pytest

from tests.chance import SOAK
from tests.front.front_server import Reply
from tests.hostile.figures import Told
from tests.hostile.operations import JSON
from tests.hostile.wire import Wire, checked, code
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("hostile")

INGEST = "/api/v1/trades/ingest"
WINDOW = "start=2025-01-02T14:00:00Z&end=2025-01-02T15:00:00Z&limit=10000"
# By what has to become of them: names of nothing, and symbols although a file system has a use for them.
NO_SYMBOLS = [
    "../x", "..", "../../x", "..\\x", "/x", "//x", "\\x", "\\\\host\\x", "C:\\x", ".x", ".derived", "~", "~root", "$HOME", "`x`", "x\x00",
    "\x00", "x\x00.csv", "%00", "..%2fx", "%2e%2e%2fx", "%252e", "x\n", "\nx", "x\r\n", "x\ty", " x", "x ", "x  y", " ", "A" * 33, "A" * 300, "A" * 5_000,
    "\u0391\u0391\u03a1L", "\u0410\u0410\u0420L", "\uff29\uff22\uff2d", "\u0131bm", "IBM\u200b", "\u202eMBI", "IBM\u0301", "\u00df", "\ufb01", "\u212aO", "I\u0307BM",
    "\U0001d408BM", "\u2160BM", "x|y", "x>y", "x*y", "x?y", "x;y", "x'y", 'x"y', "x#y", "x@y", "{x}", "x\\..\\y", "-rf", "--help", "=x", "+x", "_x", ":x",
]  # fmt: skip
SYMBOLS = [
    "CON", "con.csv", "NUL", "AUX", "PRN", "COM1", "LPT9.TXT", "CON.", "a/b", "a/..", "a..", "commits.jsonl", "1", "x:y", "x=y", "x+y", "x^y", "^GSPC", "x y",
    "x-y", "x.", "x..y", "A" * 32, "2025-01-02", "2025-01-02.csv", "trades", "instruments.jsonl", "ibm", "IBM", "Ibm", "0x10", "1e5", "nan", "null", "true",
]  # fmt: skip
if not SOAK:
    NO_SYMBOLS, SYMBOLS = NO_SYMBOLS[::3], SYMBOLS[::2]
FORMULAS = [
    "=",
    "+",
    "-",
    "@",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1:A2)",
    "=cmd|'/Ccalc'!A0",
    '=HYPERLINK("http://a")',
    "'=1",
    "'",
    "''",
    "'a",
    "-",
    "--",
]
FIRST = ("=", "+", "-", "@", "\t", "\r")


def spelled(name: str) -> str:
    return name.upper().replace("/", "-")


def ways(wire: Wire, name: str) -> list[Reply]:
    """The answers to a name in a body, in a query and in two kinds of path."""
    row = {"timestamp": "2025-01-02T14:30:00Z", "price": 1.5, "volume": 1}
    body = orjson.dumps({"trades": [{**row, "symbol": name}]})
    lines = b"timestamp,price,volume\n2025-01-02T14:30:00Z,1.5,1\n"
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    requests = [
        wire.ask("POST", INGEST, {"Content-Type": JSON}, body),
        wire.ask("POST", f"{INGEST}?symbol={quoted}", {"Content-Type": "text/csv"}, lines),
        wire.ask("GET", f"/api/v1/stats/ohlc?symbol={quoted}"),
        wire.ask("GET", f"/api/v1/market-data/equities/{quoted}/trades?{WINDOW}"),
        wire.ask("GET", f"/api/v1/market-data/equities/trades?{WINDOW}&symbols={quoted}"),
        wire.ask("GET", f"/api/v1/instruments/{quoted}"),
    ]
    return [checked(reply, name) for reply in requests]


def folders(installation: Installation) -> set[str]:
    return {path.name for path in (installation.served.data_dir / "trades").iterdir()}


def test_a_name_that_is_no_symbol_is_refused_wherever_it_stands_and_leaves_nothing(
    installation: Installation, wire: Wire, told: Told
):
    before = folders(installation)
    for name in NO_SYMBOLS:
        for reply in ways(wire, name):
            assert reply.status in {400, 404, 422}, (name, reply)
            # With an empty part, or with more parts than a symbol can have, it is no path of ours.
            assert reply.status != 404 or "/" in name, (name, reply)
    assert folders(installation) == before
    told("10 names that are no symbols", f"{6 * len(NO_SYMBOLS)} requests")


def test_a_name_that_is_a_symbol_has_one_folder_in_the_store_whatever_it_means_elsewhere(
    installation: Installation, wire: Wire, told: Told
):
    before = folders(installation)
    for name in SYMBOLS:
        assert [reply.status for reply in ways(wire, name)] == [200] * 6, name
    made = {path.name for path in (installation.served.data_dir / "trades").iterdir()} - before
    assert len({folder.casefold() for folder in made}) == len(made)
    assert len(made) <= len(set(map(spelled, SYMBOLS)))
    told("10 names that are symbols", f"{6 * len(SYMBOLS)} requests, {len(made)} folders")


def test_ibm_and_IBM_are_one_symbol(wire: Wire):  # noqa: N802 the case is what it is about
    for number, name in enumerate(["one.case", "ONE.CASE", "One.Case"]):
        row = {"timestamp": "2025-01-02T14:30:00Z", "symbol": name, "price": 1.5, "volume": 10**number}
        assert wire.ask("POST", INGEST, {"Content-Type": JSON}, orjson.dumps({"trades": [row]})).status == 200
    answers = [
        wire.ask("GET", f"/api/v1/market-data/equities/{name}/trades?{WINDOW}").json() for name in ("One.case", "ONE.CASE")
    ]  # fmt: skip
    assert answers[0]["trades"] == answers[1]["trades"]
    assert [row["volume"] for row in answers[0]["trades"]] == [1, 10, 100]
    assert {answer["symbol"] for answer in answers} == {"ONE.CASE"}


def test_an_alias_is_as_harmless_as_a_symbol(wire: Wire):
    for name in NO_SYMBOLS:
        body = orjson.dumps({"symbol": "ALIASED", "aliases": [name]})
        reply = checked(wire.ask("PUT", "/api/v1/instruments/ALIASED", {"Content-Type": JSON}, body), name)
        assert reply.status == 422, (name, reply)


def text(rng: random.Random) -> str:
    """A text that may be stored: visible ASCII, often the beginning of a formula."""
    tail = "".join(chr(rng.randrange(33, 127)) for _ in range(rng.randrange(8)))
    return (rng.choice([*FORMULAS, ""]) + tail)[:64] or "x"


def read(wire: Wire, symbol: str, suffix: str) -> bytes:
    reply = wire.ask("GET", f"/api/v1/market-data/equities/{symbol}/trades{suffix}?{WINDOW}")
    assert reply.status == 200, reply.body
    return reply.body


def test_every_text_comes_back_as_it_was_and_no_cell_of_csv_is_a_formula(
    installation: Installation, wire: Wire, rng: random.Random, told: Told
):
    rows: list[dict[str, Any]] = [
        {
            "timestamp": f"2025-01-02T14:30:{number // 1000:02}.{number % 1000:03}Z", "symbol": "CELLS", "price": 1.5, "volume": 1,
            "trade_id": f"{number}{text(rng)}"[::-1][:64], "exchange": text(rng), "conditions": [text(rng).replace(";", ":")],
        }
        for number in range(5_000 if SOAK else 500)
    ]  # fmt: skip
    reply = wire.ask("POST", INGEST, {"Content-Type": JSON}, orjson.dumps({"trades": rows}))
    assert (reply.status, reply.json().get("stored")) == (200, len(rows)), reply.body
    names = ("trade_id", "exchange", "conditions")
    sent = [tuple(row[name] for name in names) for row in rows]
    found = orjson.loads(read(wire, "CELLS", ".json"))["trades"]
    assert [tuple(row[name] for name in names) for row in found] == sent
    lines = list(csv.DictReader(io.StringIO(read(wire, "CELLS", ".csv").decode(), newline="")))
    assert [tuple(unescaped(line[name]) for name in names) for line in lines] == [
        (a, b, c[0]) for a, b, c in sent
    ]
    streamed = wire.ask(
        "GET", f"/api/v1/market-data/equities/CELLS/trades/stream.csv?{WINDOW.partition('&limit')[0]}"
    )
    assert streamed.status == 200
    stored = (installation.served.data_dir / "trades" / "CELLS" / "2025-01-02.csv").read_bytes()
    for content in (read(wire, "CELLS", ".csv"), streamed.body, stored):
        cells = [cell for line in csv.reader(io.StringIO(content.decode(), newline="")) for cell in line]
        assert len(cells) > 3 * len(rows)
        assert not [cell for cell in cells if cell.startswith(FIRST)]
    table = pa.ipc.open_stream(read(wire, "CELLS", ".arrow")).read_all()
    assert table.column("exchange").to_pylist() == [exchange for _, exchange, _ in sent]
    told("10 texts as cells", f"{3 * len(rows)} cells, round trip exact")


def unescaped(cell: str) -> str:
    """As the documentation says that a reader undoes it."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@", "'", "\t", "\r"} else cell


def test_the_answer_in_csv_can_be_sent_back_as_it_is(wire: Wire, rng: random.Random):
    texts = [text(rng) for _ in range(200)]
    rows = [
        {"timestamp": f"2025-01-02T14:30:00.{number:03}Z", "symbol": "THERE", "price": 1.5, "volume": 1, "exchange": each}
        for number, each in enumerate(texts)
    ]  # fmt: skip
    assert wire.ask("POST", INGEST, {"Content-Type": JSON}, orjson.dumps({"trades": rows})).status == 200
    there = read(wire, "THERE", ".csv")
    reply = wire.ask("POST", f"{INGEST}?symbol=BACK&unknown=ignore", {"Content-Type": "text/csv"}, there)
    assert (reply.status, code(reply)) == (200, ""), reply.body
    assert [row["exchange"] for row in orjson.loads(read(wire, "BACK", ".json"))["trades"]] == texts
    assert read(wire, "BACK", ".csv").split(b"\n")[1:] == there.split(b"\n")[1:]
