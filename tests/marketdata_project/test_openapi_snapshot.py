"""Clients of a version lose nothing: the served document is compared with the committed one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import openapi_snapshot
from tests.openapi_differences import differences
from tests.openapi_snapshot import (
    COMMAND,
    NAMES,
    committed,
    faults,
    refusal,
    served,
    snapshot,
    text_of,
)

pytestmark = pytest.mark.system

STREAM = "/api/v1/market-data/equities/{symbol}/ohlcv/stream"
OHLC = "/api/v1/stats/ohlc"
INGEST = "/api/v1/trades/ingest"
PATHS = {STREAM, OHLC, INGEST, "/api/v1/keys", "/api/v1/calendar"}


@pytest.mark.parametrize("version", NAMES)
def test_no_client_of_a_version_loses_anything(version):
    lost = differences(committed(version), served(version))
    assert lost == [], refusal(version, lost)


def part_of(document: dict[str, Any]) -> dict[str, Any]:
    """A document with few of the paths, and with all components."""
    paths = {name: item for name, item in document["paths"].items() if name in PATHS}
    assert len(paths) == len(PATHS)
    return copied({**document, "paths": paths})


def copied(document: dict[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    return copy


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Committed documents of the test's own; there is v1 only."""
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(openapi_snapshot, "PROJECT", tmp_path)
    monkeypatch.setattr(openapi_snapshot, "NAMES", ["v1"])


@pytest.mark.usefixtures("files")
def test_the_document_keeps_the_whole_contract_and_is_valid():
    part = part_of(served("v1"))
    snapshot("v1").write_text(text_of(part, "v1"))
    assert differences(part, committed("v1")) == differences(committed("v1"), part) == []
    assert faults(committed("v1")) == []


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return part_of(committed("v1"))


def operation(document: Any, path: str, method: str = "get") -> Any:
    return document["paths"][path][method]


def parameter(document: Any, path: str, name: str) -> Any:
    return next(each for each in operation(document, path)["parameters"] if each["name"] == name)


def schema(document: Any, name: str) -> Any:
    return document["components"]["schemas"][name]


def content(document: Any) -> Any:
    return operation(document, STREAM)["responses"]["200"]["content"]


def require(document: Any, name: str, field: str) -> list[str]:
    required: list[str] = schema(document, name).setdefault("required", [])
    required.append(field)
    return required


def make_optional(document: Any, name: str, field: str) -> None:
    schema(document, name)["required"].remove(field)


def drop(values: list[Any], name: str) -> None:
    values[:] = [each for each in values if each["name"] != name]


LOSSES: dict[str, tuple[Callable[[Any], object], str]] = {
    "path": (lambda d: d["paths"].pop(OHLC), f"{OHLC}: removed"),
    "method": (lambda d: d["paths"]["/api/v1/keys"].pop("post"), "POST /api/v1/keys: removed"),
    "parameter": (
        lambda d: drop(operation(d, STREAM)["parameters"], "hours"),
        f"GET {STREAM} parameters.query.hours: removed",
    ),
    "default": (
        lambda d: parameter(d, STREAM, "sort")["schema"].update(default="desc"),
        f"GET {STREAM} parameters.query.sort.default: asc -> desc",
    ),
    "value-of-enum": (
        lambda d: parameter(d, STREAM, "sort")["schema"]["enum"].remove("desc"),
        f"GET {STREAM} parameters.query.sort.enum desc: removed",
    ),
    "new-enum": (
        lambda d: parameter(d, STREAM, "as_of")["schema"].update(enum=["now"]),
        f"GET {STREAM} parameters.query.as_of.enum: none -> now",
    ),
    "required-parameter": (
        lambda d: parameter(d, STREAM, "start").update(required=True),
        f"GET {STREAM} parameters.query.start.required: false -> true",
    ),
    "new-required-parameter": (
        lambda d: operation(d, STREAM)["parameters"].append(
            {"in": "query", "name": "account", "required": True, "schema": {}}
        ),
        f"GET {STREAM} parameters.query.account: added as required",
    ),
    "status": (
        lambda d: operation(d, OHLC)["responses"].pop("200"),
        f"GET {OHLC} responses.200: removed",
    ),
    "format-of-answers": (
        lambda d: content(d).pop("text/csv"),
        f"GET {STREAM} responses.200.text/csv: removed",
    ),
    "format-of-bodies": (
        lambda d: operation(d, INGEST, "post")["requestBody"]["content"].pop("text/csv"),
        f"POST {INGEST} requestBody.text/csv: removed",
    ),
    "inline-field": (
        lambda d: content(d)["application/x-ndjson"]["schema"]["properties"].pop("vwap"),
        f"GET {STREAM} responses.200.application/x-ndjson.vwap: removed",
    ),
    "inline-type": (
        lambda d: content(d)["application/x-ndjson"]["schema"]["properties"]["vwap"].update(type="string"),
        f"GET {STREAM} responses.200.application/x-ndjson.vwap.type: null|number -> string",
    ),
    "field-of-a-component": (
        lambda d: schema(d, "IngestAnswer")["properties"].pop("stored"),
        "IngestAnswer (response).stored: removed",
    ),
    "null-in-an-answer": (
        lambda d: schema(d, "IngestAnswer")["properties"]["stored"].update(type=["integer", "null"]),
        "IngestAnswer (response).stored.type: integer -> integer|null",
    ),
    "no-longer-in-each-answer": (
        lambda d: make_optional(d, "IngestAnswer", "stored"),
        "IngestAnswer (response).stored.required: true -> false",
    ),
    "format": (
        lambda d: schema(d, "TradingDate")["properties"]["date"].update(format="date-time"),
        "TradingDate (response).date.format: date -> date-time",
    ),
    "field-of-a-body": (
        lambda d: schema(d, "TradeRow")["properties"].pop("sequence"),
        "TradeRow (request).sequence: removed",
    ),
    "required-field-of-a-body": (
        lambda d: require(d, "TradeRow", "trade_id"),
        "TradeRow (request).trade_id.required: false -> true",
    ),
    "new-required-field-of-a-body": (
        lambda d: (
            schema(d, "TradeRow")["properties"].update(venue={}),
            require(d, "TradeRow", "venue"),
        ),
        "TradeRow (request).venue: added as required",
    ),
    "bound": (
        lambda d: schema(d, "TradeRow")["properties"]["conditions"].update(maxItems=10),
        "TradeRow (request).conditions.maxItems: 32 -> 10",
    ),
    "scope": (
        lambda d: operation(d, OHLC).update({"x-required-scope": "audit:read"}),
        f"GET {OHLC}.x-required-scope: market:read -> audit:read",
    ),
    "credential": (
        lambda d: operation(d, OHLC)["security"].remove({"XApiKey": []}),
        f"GET {OHLC} security.XApiKey: removed",
    ),
    "error-code": (
        lambda d: d["components"]["examples"].pop("range_too_large"),
        "error code range_too_large: removed",
    ),
}


@pytest.mark.parametrize(("lose", "line"), LOSSES.values(), ids=LOSSES)
def test_what_clients_would_lose_is_named(document, lose, line):
    changed = copied(document)
    lose(changed)
    assert differences(document, changed) == [line]


ADDITIONS: dict[str, Callable[[Any], object]] = {
    "path": lambda d: d["paths"].update({"/api/v1/new": d["paths"][OHLC]}),
    "method": lambda d: d["paths"][OHLC].update(post=operation(d, INGEST, "post")),
    "parameter": lambda d: operation(d, OHLC)["parameters"].append(
        {"in": "query", "name": "x", "schema": {}}
    ),
    "status": lambda d: operation(d, OHLC)["responses"].update(
        {"413": operation(d, OHLC)["responses"]["default"]}
    ),
    "value-of-enum": lambda d: parameter(d, STREAM, "sort")["schema"]["enum"].append("none"),
    "field-of-an-answer": lambda d: (
        schema(d, "IngestAnswer")["properties"].update(x={"type": "string"}),
        require(d, "IngestAnswer", "x"),
    ),
    "optional-field-of-a-body": lambda d: schema(d, "TradeRow")["properties"].update(x={"type": "string"}),
    "no-longer-required-of-a-body": lambda d: make_optional(d, "TradeRow", "volume"),
    "type-of-a-body": lambda d: schema(d, "TradeRow")["properties"]["price"].update(
        type=["number", "string"]
    ),
    "error-code": lambda d: d["components"]["examples"].update(x={}),
    "texts": lambda d: parameter(d, STREAM, "sort").update(description="anything"),
}


@pytest.mark.parametrize("add", ADDITIONS.values(), ids=ADDITIONS)
def test_additions_and_texts_pass(document, add):
    changed = copied(document)
    add(changed)
    assert changed != document
    assert differences(document, changed) == []


def test_a_component_may_be_renamed(document):
    changed = copied(document)
    schemas = changed["components"]["schemas"]
    schemas["Renamed"] = schemas.pop("IngestAnswer")
    for item in changed["paths"].values():
        for each in (item[method] for method in ("post", "put") if method in item):
            for media in each["responses"].get("200", {}).get("content", {}).values():
                if media["schema"].get("$ref", "").endswith("/IngestAnswer"):
                    media["schema"]["$ref"] = "#/components/schemas/Renamed"
    assert differences(document, changed) == []


@pytest.fixture
def renamed(files, monkeypatch):
    """What is served, after a path was renamed."""
    changed = part_of(served("v1"))
    snapshot("v1").write_text(text_of(changed, "v1"))
    changed["paths"]["/api/v1/bars"] = changed["paths"].pop(OHLC)
    monkeypatch.setattr(openapi_snapshot, "served", lambda _: changed)
    return changed


def test_the_command_writes_a_loss_only_if_told_to(renamed, capsys):
    before = snapshot("v1").read_text()
    assert openapi_snapshot.main([]) == openapi_snapshot.main(["--check"]) == 1
    refused = capsys.readouterr().err
    assert f"- `{OHLC}: removed`" in refused
    assert all(
        part in refused for part in ("a new version", "deprecate", "CHANGELOG.md", f"{COMMAND} --losses")
    )
    assert snapshot("v1").read_text() == before
    assert openapi_snapshot.main(["--check", "--losses"]) == 0
    assert COMMAND in capsys.readouterr().out
    assert openapi_snapshot.main(["--losses"]) == 0
    assert snapshot("v1").read_text() == text_of(renamed, "v1")
    assert openapi_snapshot.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_the_command_writes_no_document_that_is_not_valid_or_that_was_warned_of(renamed, capsys, monkeypatch):
    renamed["paths"]["/api/v1/bars"]["get"]["parameters"] = {}
    assert openapi_snapshot.main([]) == openapi_snapshot.main(["--check"]) == 1
    assert "/parameters: {} is not of type" in capsys.readouterr().err
    renamed["paths"]["/api/v1/bars"]["get"]["parameters"] = []
    monkeypatch.setattr(openapi_snapshot, "GENERATOR_STATS", Warned())
    assert openapi_snapshot.main(["--check"]) == 1
    assert "the generator warned" in capsys.readouterr().err


class Warned:
    def reset(self) -> None:
        """It warns again."""
