"""The page `/import`: a file is shown as it would be stored, and stored by who may write."""

import gzip
import io
import json
import os
import re
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client

from audit.services import call_spool
from store.datasets import BARS, TRADES
from store.protocol import ALL_TIME
from store.walk import BEGINNING, CommitRecord
from tests.api_client import make_key
from trades.stores import market_store

pytestmark = pytest.mark.django_db
LONG_TEXT = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 100_000]))
FILE = b"Datum;Kurs;Menge\n02.01.2024 09:31:00;10,5;100\n15.01.2024 09:31:00;9,25;7\n"


@pytest.fixture(autouse=True)
def data_folder(settings, store_path, tmp_path) -> None:
    settings.DATA_DIR, settings.AUDIT_DIR = tmp_path, tmp_path / "audit"


def browser(*, scopes: tuple[str, ...] = ("market:write",)) -> Client:
    client = Client(headers={"Accept": "text/html"})
    client.post("/login", {"key": make_key(scopes=scopes)})
    return client


def sent(client: Client, content: bytes, *, name: str = "X.csv", **options: str) -> tuple[int, str]:
    given = {key if key == "action" else f"option_{key}": value for key, value in options.items()}
    query = {"name": name, **given}
    response = client.post(
        "/api/v1/import", content, content_type="application/octet-stream", query_params=query
    )
    return response.status_code, response.content.decode()


def parquet(**columns: pa.Array) -> bytes:
    """A file of few bytes that has 20,000 rows."""
    numbers = pa.array([1.5] * 20_000)
    times = pa.array(["2024-01-02T09:31:00Z"] * 20_000)
    table = pa.table({"timestamp": times, "price": numbers, "volume": numbers, **columns})
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", store_schema=False)
    return content.getvalue()


MANY_CELLS = parquet(**{f"c{n}": pa.nulls(20_000) for n in range(20)})
FLIPPED = gzip.compress(FILE)[:10] + b"\x07" + gzip.compress(FILE)[11:]


def test_the_form_has_the_options_of_the_command():
    html = browser().get("/import", follow=True).content.decode()
    assert '<input id="file" name="file" type="file" required>' in html
    assert all(
        f'name="option_{name}"' in html for name in ("format", "columns", "time_format", "skip_bad", "yes")
    )
    assert 'name="option_preview"' not in html


def test_a_preview_shows_rows_and_guesses_and_stores_nothing(tmp_path):
    status, html = sent(browser(), FILE, action="preview")
    assert status == 200
    assert all(cell in html for cell in ("<td>2024-01-02T09:31:00Z</td>", "<td>10.5</td>", "<td>100.0</td>"))
    assert "<code>--decimal ,</code>" in html
    assert "<code>--time-format &#x27;%d.%m.%Y %H:%M:%S&#x27;</code>" in html
    assert not market_store().symbols(TRADES)
    assert not [*tmp_path.glob("import-*")]


def test_what_is_refused_is_shown_with_yes():
    later = f"timestamp,price,volume\n{time.gmtime().tm_year + 2}-01-02T09:31:00Z,1,1\n".encode()
    minutes = "".join(f"2024-01-02T09:{minute}:00Z,1,1,1,1,1\n" for minute in range(10, 40))
    bars = f"timestamp,open,high,low,close,volume\n{minutes}".encode()
    for content, said in ((later, "yet to come"), (bars, "give --resolution")):
        given = {"action": "preview", "resolution": "1s"} if content is bars else {"action": "preview"}
        status, html = sent(browser(), content, **given)
        assert (status, said in html, "give --yes if it is right" in html) == (422, True, True)
        status, html = sent(browser(), content, yes="1", **given)
        assert (status, "<td>1.0</td>" in html) == (200, True)


def test_what_killed_processes_left_is_removed_a_day_later(tmp_path):
    for age in (3_600, 90_000):
        (tmp_path / f"import-{age}").mkdir()
        (tmp_path / f"import-{age}" / "X.csv").write_bytes(FILE)
        os.utime(tmp_path / f"import-{age}", (time.time() - age,) * 2)
    sent(browser(), FILE, action="preview")
    assert [path.name for path in tmp_path.glob("import-*")] == ["import-3600"]


def test_an_import_stores_the_rows_once_and_says_by_whom(tmp_path):
    client = browser()
    status, html = sent(client, FILE, action="import", symbol="Y")
    assert (status, "<li>2 rows; 2 stored" in html) == (200, True)
    assert "0 stored; 2 already there" in sent(client, FILE, action="import", symbol="Y")[1]
    log = market_store().log(TRADES, "Y")
    assert log.at().rows(ALL_TIME).column("price").to_pylist() == [10.5, 9.25]
    records = [each for each in log.commits(BEGINNING) if isinstance(each, CommitRecord)]
    assert [re.sub("[0-9]+", "1", each.facts.caller) for each in records] == ["key:1 import:X.csv"]
    call_spool().close()
    lines = [line for file in tmp_path.glob("audit/spool/*") for line in file.read_text().splitlines()]
    recorded = [
        (each["method"], each["status"])
        for each in map(json.loads, lines)
        if each.get("path") == "/api/v1/import"
    ]
    assert recorded == [("POST", 200), ("POST", 200)]


def test_a_refusal_says_what_to_choose():
    status, html = sent(browser(), b"1704187860,10.5,100\n", action="import")
    assert (status, "give --format kraken" in html) == (422, True)
    assert "import-" not in html.partition('<div id="answer"')[2].partition("</div>")[0]
    rows = b"timestamp,open,high,low,close,volume\n2024-01-02,1,1,1,1,1\n"
    assert sent(browser(), rows, action="import", resolution="1d")[0] == 200
    assert [*market_store().symbols(BARS)] == ["X"]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (FILE, {"name": "X.exe"}, "a file is one of csv"),
        (FILE, {"format": "word"}, "invalid choice"),
        (FILE, {"skip_lines": "many"}, "invalid int value"),
        (gzip.compress(FILE + bytes(2**21)), {"name": "X.csv.gz"}, "more than 1,048,576 bytes"),
        (b"PAR1", {"name": "X.parquet"}, "damaged or cut off"),
        (FLIPPED, {"name": "X.csv.gz"}, "damaged or cut off: Error -3"),
        (FLIPPED, {"name": "X.json.gz"}, "damaged or cut off: Error -3"),
        (b"", {}, "is empty"),
        (parquet(trade_id=LONG_TEXT), {"name": "X.parquet"}, "the texts of 20,000 rows may take 2,000,400,000 bytes"),
        (MANY_CELLS, {"name": "X.parquet"}, "more than 1,048,576"),
        (MANY_CELLS, {"name": "X.parquet.gz"}, "more than 1,048,576"),
        (b"\"" * 2**19, {}, "give --delimiter with the mark"),
        (FILE, {"encoding": "a\0b"}, "there is no encoding"),
        (FILE, {"encoding": "zlib"}, "there is no encoding"),
        (FILE, {"encoding": "idna"}, "there is no encoding"),
        (FILE, {"quote": "\u2028"}, "one character of ASCII"),
        (FILE, {"scale": "price=1e400"}, "a scale is a number"),
        (FILE, {"time_format": "%d%d"}, "is of local times"),
        (FILE, {"timezone": "../../etc/passwd"}, "../../etc/passwd"),
        (FILE, {"name": ".."}, "a file is one of csv"),
    ],
    ids=[
        "suffix", "format", "number", "gzip", "damaged", "flipped", "flipped-json", "empty", "parquet-text", "parquet-cells",
        "parquet-cells-gz", "long-line", "null", "codec",
        "codec-of-names", "quote", "scale", "time", "zone", "parent",
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(settings, content: bytes, options: dict[str, str], said: str):
    settings.MAX_IMPORT_BYTES = 2**20
    status, html = sent(browser(), content, **options)
    assert (status, said in html) == (422, True)


@pytest.mark.parametrize(
    "name",
    ["../../a/X.csv", "/etc/X.csv", "\0\x1b[31mX.csv", "\u202e\n" + "é" * 200 + "X.csv"],
    ids=["parents", "absolute", "control", "long"],
)
def test_a_files_name_leads_nowhere(tmp_path, name: str):
    status, html = sent(browser(), FILE, name=name, action="import", symbol="X")
    assert (status, "<li>2 rows; 2 stored" in html) == (200, True)
    assert not [*tmp_path.parent.rglob("*X.csv")]
    records = [
        each for each in market_store().log(TRADES, "X").commits(BEGINNING) if isinstance(each, CommitRecord)
    ]
    assert all(each.facts.caller.isprintable() and "/" not in each.facts.caller for each in records)


def test_markup_in_a_file_is_shown_as_text():
    names = b"timestamp,price,volume,<script>alert(1)</script>\n"
    html = sent(browser(), names + b"2024-01-02T09:31:00Z,1,<b>x</b>,1\n", name="<i>.csv", symbol="X")[1]
    assert "<b>x" not in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_only_who_may_write_imports():
    assert sent(browser(scopes=("market:read",)), FILE)[0] == 403
    assert sent(Client(headers={"Accept": "text/html"}), FILE)[0] == 401
    strict = Client(headers={"Accept": "text/html"}, enforce_csrf_checks=True)
    strict.cookies = browser().cookies
    assert sent(strict, FILE, action="import")[0] == 403
    assert not market_store().symbols(TRADES)
