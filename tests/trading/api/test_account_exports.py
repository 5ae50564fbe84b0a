"""Exports of an account's rows: what the lists have, up to an instant, for who may read them."""

import io
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.models import Job
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.installation import caches_clear
from tests.jobs.running import run_job
from tests.trading.desks import coin
from tests.trading.recorded import RecordedAccount, engine_lives
from trading.api.exports import ACCOUNT_TABLES
from web.documents import arrow_schema

pytestmark = pytest.mark.django_db
EXPORTS = "/api/v1/accounts/ACC/exports"
LISTS = ("orders", "executions", "transactions")


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    """The folder of exports."""
    settings.EXPORTS_DIR = tmp_path / "exports"
    return tmp_path / "exports"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading.api.exports.PAGE_ROWS", 2)


@pytest.fixture
def account(api: Api) -> RecordedAccount:
    coin()
    engine_lives(100)
    account = RecordedAccount(deposit=10_000)
    account.trade(5, seconds=10, strategy="=momentum")
    account.hold("COIN", "buy", 2, 101, seconds=20)
    account.fill(account.order("COIN", "buy", 3, client_order_id="mine", seconds=30), 1, 99, seconds=31)
    account.order("COIN", "sell", 1, strategy="@grid", seconds=40)
    return account


def submitted(api: Api, **body: Any) -> dict[str, Any]:
    response = api.call("POST", EXPORTS, orjson.dumps(body))
    assert response.status_code == 202, response.content
    job: dict[str, Any] = answer(response)
    return job


def exported(api: Api, **body: Any) -> tuple[dict[str, Any], bytes]:
    """Return the export's document, and the bytes of its file."""
    job = submitted(api, **body)["id"]
    run_job(job)
    shown = answer(api.get(f"/api/v1/exports/{job}"))
    assert shown["state"] == "succeeded", shown["error"]
    [file] = shown["files"]
    return shown, api.get(file["link"]).getvalue()


def lines(content: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in content.splitlines()]


def listed(api: Api, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer(api.get(f"/api/v1/{name}", {"account": "ACC", "sort": "asc"}))[name]
    return found


@pytest.mark.parametrize("name", LISTS)
def test_lines_are_the_documents_of_the_list(api: Api, account: RecordedAccount, name: str) -> None:
    shown, content = exported(api, table=name, format="ndjson")
    assert lines(content) == listed(api, name) != []
    assert shown["files"][0]["path"] == f"{name}.ndjson"


def test_the_ledger_adds_up_to_the_balances(api: Api, account: RecordedAccount) -> None:
    _, content = exported(api, table="ledger", format="ndjson")
    ledger = pd.DataFrame(lines(content))
    sums = ledger.groupby(["account", "currency", "symbol"])["amount"].sum().round(9)
    balances = answer(api.get("/api/v1/accounts/ACC"))["balances"]
    expected = {
        (each["account"], each["currency"], each["symbol"] or ""): each["amount"] for each in balances
    }
    assert sums[sums != 0].to_dict() == expected
    assert len(ledger) == sum(len(each["entries"]) for each in listed(api, "transactions"))


def test_positions_are_those_of_the_portfolio(api: Api, account: RecordedAccount) -> None:
    _, content = exported(api, table="positions", format="ndjson")
    shown = answer(api.get("/api/v1/accounts/ACC/positions"))["positions"]
    [position] = lines(content)
    assert position.pop("exposure") == 3 * 99
    assert [{name: each[name] for name in position} for each in shown] == [position]


@pytest.mark.parametrize("name", ACCOUNT_TABLES)
def test_each_format_has_the_columns_and_the_same_rows(api: Api, account: RecordedAccount, name: str) -> None:
    forms = {
        form: exported(api, table=name, format=form)[1] for form in ("ndjson", "csv", "parquet", "arrow")
    }
    rows = lines(forms["ndjson"])
    parquet = pq.read_table(io.BytesIO(forms["parquet"]))
    arrow = pa.ipc.open_stream(forms["arrow"]).read_all()
    schema = arrow_schema(ACCOUNT_TABLES[name].document)
    assert parquet.equals(arrow)
    described = [(each.name, each.type, each.metadata) for each in schema]
    assert [(each.name, each.type, each.metadata) for each in parquet.schema] == described
    frame = pd.read_csv(io.BytesIO(forms["csv"]))
    assert [*frame.columns] == schema.names
    assert len(frame) == len(parquet) == len(rows)
    for column in {"id", "status", "quantity", "amount", "kind", "event", "is_ambiguous"} & {*schema.names}:
        assert parquet[column].to_pylist() == [row[column] for row in rows]
    if name == "executions":
        assert parquet["print.price"].to_pylist() == [row["print"]["price"] for row in rows]
    if name == "transactions":
        assert [orjson.loads(text) for text in frame["entries"]] == [row["entries"] for row in rows]


def test_no_cell_of_csv_is_a_formula(api: Api, account: RecordedAccount) -> None:
    _, content = exported(api, table="orders", format="csv")
    strategies = pd.read_csv(io.BytesIO(content), keep_default_na=False)["strategy"]
    assert set(strategies) == {"'=momentum", "", "'@grid"}


def test_rows_up_to_an_instant_are_as_they_are_now(api: Api, account: RecordedAccount) -> None:
    shown, content = exported(api, table="orders", format="ndjson", until="2025-06-05T14:00:30Z")
    orders = listed(api, "orders")
    assert shown["parameters"]["until"] == "2025-06-05T14:00:30Z"
    assert lines(content) == [each for each in orders if each["submitted_at"] <= "2025-06-05T14:00:30Z"]
    assert 0 < len(lines(content)) < len(orders)
    # Partly filled a second later.
    assert lines(content)[-1]["filled_quantity"] == 1
    for form in ("ndjson", "csv", "parquet", "arrow"):
        shown, content = exported(api, table="orders", format=form, until="2025-01-01")
        assert shown["files"][0]["rows"] == 0
    assert pa.ipc.open_stream(content).read_all().num_rows == 0
    shown, _ = exported(api, table="orders", until="2100-01-01")
    assert shown["parameters"]["until"] == "2025-06-05T14:01:40Z"


def test_the_manifest_says_what_the_file_holds(api: Api, account: RecordedAccount) -> None:
    shown, content = exported(api, table="orders", format="csv")
    manifest = orjson.loads(api.get(f"/api/v1/exports/{shown['id']}/files/manifest.json").getvalue())
    assert {name: manifest[name] for name in ("table", "account")} == {"table": "orders", "account": "ACC"}
    assert (manifest["until"], manifest["rows"]) == (shown["parameters"]["until"], 5)
    [file] = manifest["files"]
    assert file["bytes"] == len(content)
    # A data set is of market data, which others may read, too.
    assert problem(api.get(f"/api/v1/datasets/{shown['result']['dataset']}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("terms", "refused"),
    [
        ({"accounts": ["B"]}, (404, "unknown_account")),
        ({"scopes": ("market:read", "trading:write")}, (403, "missing_scope")),
        ({"sensitivity": "internal"}, (403, "insufficient_sensitivity")),
    ],
)
def test_who_may_not_read_the_account_may_not_export(
    api: Api, account: RecordedAccount, terms: dict[str, Any], refused: tuple[int, str]
) -> None:
    RecordedAccount("B")
    other = Api(make_key(**{"scopes": ("trading:read",), **terms}))
    assert problem(other.get("/api/v1/accounts/ACC/orders")) == refused
    assert problem(other.call("POST", EXPORTS, b'{"table":"orders"}')) == refused
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "lost", [{"accounts": ["B"]}, {"scopes": ["market:read"]}, {"sensitivity": "public"}]
)
def test_who_lost_the_account_downloads_no_more(account: RecordedAccount, lost: dict[str, Any]) -> None:
    # The scope of market data is not needed.
    own = Api(make_key(scopes=("trading:read",), accounts=["ACC"]))
    shown, _ = exported(own, table="orders")
    path = f"/api/v1/exports/{shown['id']}"
    body = orjson.dumps({"path": "orders.parquet"})
    link = answer(own.call("POST", f"{path}/links", body))["url"].removeprefix("http://testserver")
    assert Api(None).get(link).status_code == 200
    key = ApiKey.objects.get(pk=shown["created_by"].removeprefix("key:"))
    for name, value in lost.items():
        setattr(key, name, value)
    key.save()
    caches_clear()
    for answered in (own.get(path), own.get(shown["files"][0]["link"]), own.call("DELETE", path)):
        assert problem(answered) == (404, "not_found")
    assert problem(own.call("POST", f"{path}/links", body)) == (404, "not_found")
    assert problem(Api(None).get(link)) == (403, "invalid_link")


@pytest.mark.parametrize("body", [{}, {"table": "signals"}, {"table": "orders", "until": "noon"}])
def test_a_wrong_body_is_refused(api: Api, account: RecordedAccount, body: dict[str, Any]) -> None:
    assert problem(api.call("POST", EXPORTS, orjson.dumps(body))) == (422, "validation_failed")
