"""Real answers fit the schema that their declarations give, and have no field that it does not name."""

from typing import Any

import pytest

from tests.api_client import OF_SCHEMA, answer
from tests.marketdata_project.test_openapi import errors_of_answer, operations
from tests.stats.market_data.builders import CALL, EQUITY, SPLIT, Market

pytestmark = [OF_SCHEMA, pytest.mark.django_db]

TREE = "/api/v1/market-data"
WEEK = "start=2024-12-23&end=2024-12-28"
AT = "at=2024-12-24T17:40:00Z"
ANSWERS = [
    (f"equities/{{symbol}}/ohlcv?{WEEK}&coverage=1", "absences"),
    (f"equities/{{symbol}}/ohlcv?{WEEK}&coverage=1&resolution=1d", "absences"),
    (f"equities/{{symbol}}/ohlcv?{WEEK}&knowledge=then", "knowledge"),
    (f"equities/ohlcv?symbols={EQUITY},{SPLIT}&{WEEK}&adjustment=all&resolution=1d", "not_applied"),
    (f"equities/{{symbol}}/ohlcv?{WEEK}&adjustment=split", "unadjusted"),
    ("equities/{symbol}/quotes?start=2030-01-01&end=2030-01-01T01:00", "reason"),
    ("equities/{symbol}/ohlcv/explain?at=2024-12-24&resolution=1d", "revisions"),
    ("equities/{symbol}/latest", "quote"),
    ("equities/{symbol}/snapshot", "previous_daily_bar"),
    (f"equities/latest?symbols={EQUITY},{SPLIT}", "latest"),
    (f"equities/snapshot?symbols={EQUITY},{SPLIT}", "snapshot"),
    ("options/{symbol}/latest", "trade"),
    ("equities/{symbol}/coverage", "datasets"),
    (f"equities/{{symbol}}/gaps?{WEEK}&resolution=1m&quiet=1", "gaps"),
    (f"/api/v1/gaps?symbols={EQUITY},{SPLIT}&{WEEK}", "gaps"),
]


def unnamed(schema: dict[str, Any], value: Any) -> set[str]:
    """The names of fields that the schema does not have."""
    if isinstance(value, list):
        return set().union(*(unnamed(schema["items"], each) for each in value))
    if not isinstance(value, dict):
        return set()
    inner = (unnamed(schema["properties"].get(name, {}), each) for name, each in value.items())
    return (set(value) - set(schema["properties"])).union(*inner)


@pytest.mark.parametrize(("path", "member"), ANSWERS, ids=[path for path, _ in ANSWERS])
def test_an_answer_fits_its_schema(market: Market, path: str, member: str):
    route = path if path.startswith("/") else f"{TREE}/{path}"
    symbol = CALL if "options" in path else EQUITY
    if "adjustment" in path:
        row = {"time_ns": 1_735_171_200 * 10**9, "kind": "rename"}
        market.add("corporate_actions", SPLIT, [row])
    found = answer(market.api.get(route.replace("{symbol}", symbol)))
    operation = f"get {route.partition('?')[0]}"
    assert found.get(member, []) != [], found
    assert errors_of_answer(operation, found) == []
    schema = operations()[operation]["responses"]["200"]["content"]["application/json"]["schema"]
    assert unnamed(schema, found) == set()
