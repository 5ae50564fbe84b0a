"""The bytes of Arrow answers have nothing of rows that were not asked for."""

import pytest

from tests.api_client import Api, answer, trade

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/market-data/equities/AAPL/trades"


@pytest.mark.parametrize("path", [f"{ROOT}.arrow", f"{ROOT}/stream.arrow"], ids=["page", "stream"])
@pytest.mark.parametrize("name", ["exchange", "trade_id", "conditions"])
def test_texts_of_later_rows_are_not_in_an_answer(api: Api, path: str, name: str) -> None:
    def texts(prefix: str, count: int) -> list[object]:
        names = [f"{prefix}{number}" for number in range(count)]
        return [[each] if name == "conditions" else each for each in names]

    given = [trade(timestamp=f"2025-01-02T10:00:{second:02}Z", volume=second + 1) for second in range(9)]
    for row, text in zip(given, texts("X", 3), strict=False):
        row[name] = text
    hidden = [
        trade(timestamp=f"2025-01-02T11:00:{second:02}Z", **{name: text})
        for second, text in enumerate(texts("SECRET", 12))
    ]
    for rows in (given, hidden):
        assert answer(api.ingest(*rows))["stored"] == len(rows)
    hour = {"start": "2025-01-02T10:00:00Z", "end": "2025-01-02T11:00:00Z"}
    response = api.get(path, hour)
    body = response.getvalue()
    assert response.status_code == 200
    assert b"X2" in body
    assert b"SECRET" not in body
