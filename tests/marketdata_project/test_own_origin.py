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
        ("https://[::", False),
        ("https://data.example]", False),
    ],
)
def test_a_page_of_another_origin_may_not(settings, origin: str | None, is_own: bool):
    settings.CORS_ALLOWED_ORIGINS = ["https://dashboard.example"]
    assert is_own_origin(environ_of("https", origin)) is is_own


@pytest.mark.parametrize(
    ("scheme", "origin", "is_own"),
    [
        ("https", "http://data.example", False),
        ("https", "ftp://data.example", False),
        ("https", "http://local.example", True),
        ("http", "http://data.example", True),
        # A proxy that is not trusted to say so has ended TLS.
        ("http", "https://data.example", True),
    ],
)
def test_over_tls_a_page_without_tls_may_not(settings, scheme: str, origin: str, is_own: bool):
    settings.CORS_ALLOWED_ORIGINS = ["http://local.example"]
    assert is_own_origin(environ_of(scheme, origin)) is is_own


def environ_of(scheme: str, origin: str | None) -> dict[str, str]:
    environ = {"HTTP_HOST": "data.example", "wsgi.url_scheme": scheme}
    return environ if origin is None else environ | {"HTTP_ORIGIN": origin}
