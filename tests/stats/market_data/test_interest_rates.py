"""Interest rates: sent as a batch, read as rows, and no instruments."""

from typing import Any

import orjson
import pytest

from tests.api_client import Api, answer, problem
from trades.batches.sample_rows import SAMPLE_ROWS

ROWS = SAMPLE_ROWS["interest_rates"]
PATH = "/api/v1/market-data/rates/USD/interest-rates"


def send(api: Api, *rows: dict[str, Any]) -> Any:
    body = orjson.dumps({"interest_rates": rows})
    return api.call("POST", "/api/v1/interest-rates/ingest", body)


def test_a_curve_is_read_as_it_was_sent(api: Api):
    assert answer(send(api, *ROWS))["stored"] == 2
    response = api.get(PATH, {"start": "2025-01-01"})
    wanted = [{name: value for name, value in row.items() if name != "symbol"} for row in ROWS]
    assert answer(response)["interest_rates"] == wanted
    assert response["X-Commit"].startswith("interest_rates=1-")


def test_another_spelling_of_a_tenor_is_the_same_tenor(api: Api):
    send(api, *ROWS)
    again = send(api, ROWS[1] | {"tenor": "12M"})
    assert answer(again)["duplicates"] == 1


WRONG = [
    ({"tenor": "13M"}, "invalid_choice"),
    ({"rate": 4.33}, "out_of_range"),
    ({"rate": None}, "null"),
    ({"rate": 0.05}, "row_conflict"),
]


@pytest.mark.parametrize(("change", "code"), WRONG, ids=[code for _, code in WRONG])
def test_wrong_rates_are_refused(api: Api, change: dict[str, Any], code: str):
    send(api, *ROWS)
    response = send(api, ROWS[0] | change)
    assert response.status_code == 422
    assert [error["code"] for error in answer(response)["errors"]] == [code]


def test_a_negative_rate_is_a_rate(api: Api):
    assert answer(send(api, ROWS[0] | {"rate": -0.005, "symbol": "CHF"}))["stored"] == 1


def test_a_currency_is_no_instrument(api: Api):
    send(api, *ROWS)
    assert answer(api.get("/api/v1/instruments"))["instruments"] == []


def test_a_currency_without_rates_is_unknown(api: Api):
    assert problem(api.get(PATH, {"start": "2025-01-01"})) == (404, "unknown_symbol")
