"""`Prefer: wait=N` (RFC 7240)."""

import pytest

from web.requests.waiting import preferred_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ('respond-async, WAIT = "5"; x=1', 5),
        ("wait=100", 30),
        ("wait=0", 0),
        ("wait=x", 0),
        ("wait=-1", 0),
        ("wait=\u0665", 0),
        ("waiting=5", 0),
        ("", 0),
    ],
)
def test_the_preferred_seconds(header: str, seconds: int) -> None:
    assert preferred_wait(header) == seconds
