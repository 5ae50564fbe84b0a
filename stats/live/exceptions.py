"""Errors of the live feed.

LiveError               the client must correct its message
├── UnknownOperation    a message is no object with a known `op`; the connection ends
├── UnknownChannel      no channel has this name
├── UnknownAccount      the caller has no account with this id
├── InvalidResumeToken  the text is no resume token, or one of another log
├── TooManyChannels     the connection has all the channels that it may have
├── TooManyConnections  the caller has all the connections that it may have
└── UpgradeRequired     a plain request came where a WebSocket is opened

Errors of symbols and parameters come from `trades.exceptions`, `stats.exceptions` and `web.requests.exceptions`. A token
of a log that was restored raises `store.walk.Resync`; a number that an account's events have not reached,
`AccountRestored`.
"""

from typing import ClassVar


class LiveError(Exception):
    """Base of the errors of this app. `code` is stable; the message is for people."""

    code: ClassVar[str]


class UnknownOperation(LiveError):
    """The message is no JSON object with a known `op`, or has wrong members. Correct it."""

    code = "malformed_message"


class UnknownChannel(LiveError):
    """No channel has this name. Correct it."""

    code = "unknown_channel"


class UnknownAccount(LiveError):
    """The caller has no account with this id, whether or not there is one. Ask for another."""

    code = "unknown_account"

    def __init__(self, account: str) -> None:
        super().__init__(f"you have no account {account!r}")


class AccountRestored(Exception):
    """A resume token is ahead of the account's events: the database was restored. The client is told to resync."""


class InvalidResumeToken(LiveError):
    """The text is no resume token. Send a `seq`, or a log's part of `X-Commit`."""

    code = "invalid_resume_token"


class TooManyChannels(LiveError):
    """The connection has all the channels that it may have. Unsubscribe some, or open another connection."""

    code = "too_many_channels"


class TooManyConnections(LiveError):
    """The caller has all the connections that it may have. Close one, or subscribe over the open ones."""

    code = "too_many_live_connections"

    def __init__(self) -> None:
        super().__init__("you have as many connections of the live feed open as you may")


class UpgradeRequired(LiveError):
    """A plain request came where a WebSocket is opened. Open one."""

    code = "upgrade_required"

    def __init__(self) -> None:
        super().__init__(
            "connect with a WebSocket client to ws:// or wss:// and this path; a proxy must pass on Upgrade"
        )
