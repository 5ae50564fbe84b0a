"""Which pages may open a WebSocket: browsers send client certificates with those of any page."""

import pytest

from marketdata_project.browsers import is_own_origin


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        (None, True),
        ("https://data.example", True),
        ("https://dashboard.example", True),
        ("https://evil.example", False),
        ("https://data.example.evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_of_another_origin_may_not(settings, origin: str | None, is_own: bool):
    settings.CORS_ALLOWED_ORIGINS = ["https://dashboard.example"]
    environ = {"HTTP_HOST": "data.example"} | ({} if origin is None else {"HTTP_ORIGIN": origin})
    assert is_own_origin(environ) is is_own
