"""Whoever calls with a key, as a request says it."""

from datetime import datetime

from ratelimit.callers import Caller
from ratelimit.credentials.identify import identify
from tests.received_calls import received


def caller_by(key: str, *, now: datetime) -> Caller:
    """The caller that a key makes. Raises what a request with it would be refused for."""
    identity = identify(received({"x-api-key": key}), now=now)
    assert identity is not None
    return identity.caller
