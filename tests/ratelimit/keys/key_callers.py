"""Whoever calls with a key, as a request says it."""

from datetime import datetime

from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_of
from ratelimit.credentials.presented import Presented


def caller_by(key: str, *, now: datetime) -> Caller:
    """The caller that a key makes. Raises what a request with it would be refused for."""
    caller = caller_of(
        Presented(
            method="GET",
            scheme="http",
            host="127.0.0.1",
            path="/api/v1/clock",
            query="",
            address="192.0.2.1",
            headers={"x-api-key": key},
            body=bytes,
        ),
        now=now,
    )
    assert caller is not None
    return caller
