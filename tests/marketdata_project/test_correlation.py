"""One id per request: the client's if it is a sane one, else a new one."""

import pytest
from django.test import Client

from tests.api_client import answer


@pytest.mark.parametrize("path", ["/healthz", "/nope", "/api/v1/stats/ohlc"])
@pytest.mark.parametrize(
    "offered", ["a" * 8, "A-b_c.1234", "9" * 128, "3f0e4a5c-7d1b-4e0e-9d5e-0a4f6a1f9c11"]
)
def test_a_sane_id_is_kept(db, path, offered):
    response = Client().get(path, headers={"X-Correlation-ID": offered})
    assert response["X-Correlation-ID"] == offered
    if response.status_code >= 400:
        assert answer(response)["correlation_id"] == offered


@pytest.mark.parametrize(
    "offered",
    ["", "short", "a" * 129, "with space", "new\nline-here", "<script>alert", '"quoted-id"', "caf\u00e9-caf\u00e9", "a" * 8 + "\n", "${jndi:x}"],
    ids=ascii,
)  # fmt: skip
def test_any_other_is_replaced(db, offered):
    response = Client().get("/nope", headers={"X-Correlation-ID": offered})
    chosen = response["X-Correlation-ID"]
    assert chosen != offered
    assert chosen.isalnum()
    assert len(chosen) >= 16
    assert answer(response)["correlation_id"] == chosen


def test_requests_without_one_get_one_each(db):
    assert len({Client().get("/healthz")["X-Correlation-ID"] for _ in range(20)}) == 20
