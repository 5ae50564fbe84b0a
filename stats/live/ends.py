"""Why the server ends a connection."""

from typing import NamedTuple


class End(NamedTuple):
    """Why the server ends a connection. close_code: of the WebSocket. status: in the audit record."""

    close_code: int
    code: str
    message: str
    status: int


RESTARTING = End(1012, "restarting", "the server stops or restarts; connect again", 503)
MALFORMED_MESSAGE = End(4400, "malformed_message", "the message is not valid", 400)
NOT_AUTHENTICATED = End(4401, "not_authenticated", "the credential is missing, revoked or expired", 401)
FORBIDDEN = End(4403, "forbidden", "the credential may not read the live feed", 403)
IDLE = End(4408, "idle", "nothing came from the client for 30 seconds", 408)
SLOW_CONSUMER = End(
    4413, "slow_consumer", "the client took less than it was sent; resume from these tokens", 413
)
TOO_MANY_CONNECTIONS = End(
    4429, "too_many_live_connections", "you have as many connections open as you may", 429
)
SERVER_ERROR = End(4500, "server_error", "the server failed; connect again", 500)
LEFT = End(1000, "left", "the client left", 200)
ENDS = (
    RESTARTING, MALFORMED_MESSAGE, NOT_AUTHENTICATED, FORBIDDEN, IDLE, SLOW_CONSUMER, TOO_MANY_CONNECTIONS, SERVER_ERROR,
    LEFT,
)  # fmt: skip
