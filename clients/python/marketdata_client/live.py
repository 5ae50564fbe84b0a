"""What the live feed's messages mean, and when a feed connects again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marketdata_client.bodies import object_in
from marketdata_client.config import Retries
from marketdata_client.errors import BadAnswer, MarketDataError, Refused, Unreachable, refusal
from marketdata_client.history import Query
from marketdata_client.tables import Table

PATH = "/ws/v1/stream"
# The server pings each 15 seconds.
SILENCE_SECONDS = 40.0
_DAY_SECONDS = 86_400.0
PONG = '{"op":"pong"}'
# 4401: the credential is not valid any more; 4403: it may not read this any more.
_FINAL_CLOSES = {4401, 4403}
_PASSING = {429, 502, 503, 504}
_FOLLOWED = ("trades", "quotes")
# Later than any row.
_LAST = "2200-12-31"
_LOSSLESS = ("trades:", "quotes:", "status:", "orders:", "alerts:")
# Errors within the feed have a code, but no HTTP status.
_ERROR_STATUS = 400


@dataclass(frozen=True, slots=True)
class Frame:
    """One channel's rows of one commit.

    rows: as the JSON has them; of kind `corrections` the changes of earlier rows. seq: the token after it, to resume
    from. kind: `rows`, `corrections`; `resync`: forget the channel's rows, and read them by REST; `history`: the rows
    that were stored before, of `follow`. message: the whole object; of bars with `start` and `end`: the rows replace all
    bars from start to before end.
    """

    channel: str
    rows: list[dict[str, Any]]
    seq: str
    kind: str = "rows"
    message: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Subscription:
    """What is followed. tokens: by channel, the last that was received: `from` of the next connection."""

    channels: Sequence[str]
    tokens: dict[str, str] = field(default_factory=dict)
    mode: str | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(channel, str) for channel in self.channels):
            raise TypeError('each channel is an argument of its own: live("bars.1m:AAPL", "quotes:AAPL")')

    def text(self) -> str:
        """Return the message that subscribes."""
        params: dict[str, Any] = {"op": "subscribe", "channels": list(self.channels)}
        if self.tokens:
            params["from"] = self.tokens
        if self.mode is not None:
            params["mode"] = self.mode
        return json.dumps(params)

    def take(self, message: Mapping[str, Any]) -> Frame | None:
        """Return the frame of a message, if it has one. Raises `FeedInterrupted`, and `Refused` for an error."""
        match message.get("op"):
            case None:
                return self._frame(message)
            case "subscribed":
                self.tokens |= _texts(message.get("channels"))
            case "resync":
                channel, seq = _text(message, "ch"), _text(message, "seq")
                self.tokens[channel] = seq
                return Frame(channel, [], seq, "resync", message)
            case "closing":
                raise FeedInterrupted("the server closes the feed", pause=_retry_after(message))
            case "error":
                if message.get("code") != "rate_limited":
                    raise refusal(_ERROR_STATUS, message)
                raise FeedInterrupted("too many requests", pause=_retry_after(message))
        return None

    def _frame(self, message: Mapping[str, Any]) -> Frame:
        channel, rows = _text(message, "ch"), message.get("data")
        if not isinstance(rows, list):
            raise BadAnswer("a frame has no list of rows")
        seq, expected = _text(message, "seq"), self.tokens.get(channel)
        previous = message.get("prev")
        is_lossless = channel.startswith(_LOSSLESS) and self.mode != "latest"
        if is_lossless and expected is not None and previous is not None and previous != expected:
            raise FeedInterrupted(f"{channel}: a frame after {previous} came, not after {expected}")
        self.tokens[channel] = seq
        return Frame(channel, rows, seq, str(message.get("kind", "rows")), message)


class FeedInterrupted(MarketDataError):
    """The feed must connect again. pause: the seconds that the server asks for; None if a frame is missing."""

    def __init__(self, message: str, *, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class Reconnects:
    """Decides when a feed connects again."""

    def __init__(self, retries: Retries) -> None:
        self._retries, self._failures, self._has_begun = retries, 0, False

    def took(self, message: Mapping[str, Any]) -> None:
        """Note that a message was taken."""
        if message.get("op") == "subscribed":
            # Each round of a server that then fails has it.
            self._has_begun = True
        else:
            self._failures = 0

    def pause(self, error: Refused | Unreachable | FeedInterrupted) -> float:
        """Return the seconds until the next attempt. Raises what does not pass by itself."""
        if isinstance(error, FeedInterrupted) and error.pause is not None:
            return min(error.pause, self._retries.longest_pause)
        self._failures += 1
        if isinstance(error, FeedInterrupted):
            return self._retries.back_off(self._failures)
        _check_passing(error)
        if not self._has_begun and self._failures >= self._retries.attempts:
            raise error
        if isinstance(error, Refused) and error.retry_after is not None:
            return min(error.retry_after, self._retries.longest_pause)
        return self._retries.back_off(self._failures)


def _check_passing(error: Refused | Unreachable) -> None:
    if isinstance(error, Refused):
        if error.status not in _PASSING:
            raise error
    elif error.close_code in _FINAL_CLOSES:
        raise refusal(error.close_code - 4000, {"code": "closed", "message": str(error)}) from error


def message_in(text: str | bytes) -> dict[str, Any]:
    """Return a message of the feed. Raises `BadAnswer`."""
    if isinstance(text, bytes):
        raise BadAnswer("the live feed sent bytes, not a text")
    return object_in(text.encode())


def followable(query: Query) -> Query:
    """Return the query with an end later than any row: the feed continues after the rows of the query.

    Raises ValueError for a dataset without a channel.
    """
    if query.dataset not in _FOLLOWED:
        raise ValueError(
            f"{query.dataset} cannot be followed: follow trades or quotes, or use live('bars.1m:SYMBOL')"
        )
    if query.params.get("end") is not None:
        return query
    return replace(query, params={**query.params, "end": _LAST})


def history_frame(table: Table, dataset: str, channel: str) -> Frame:
    """Return stored rows as a frame, after whose token the feed continues."""
    token = dict(part.strip().split("=", 1) for part in table.commit.split(",") if "=" in part).get(dataset)
    if token is None:
        raise BadAnswer(f"the answer's X-Commit names no commit of {dataset}")
    return Frame(channel, table.rows(), token, "history")


def _retry_after(message: Mapping[str, Any]) -> float:
    seconds = message.get("retry_after")
    return seconds if isinstance(seconds, int | float) and 0 <= seconds <= _DAY_SECONDS else 1.0


def _text(message: Mapping[str, Any], name: str) -> str:
    found = message.get(name)
    if not isinstance(found, str):
        raise BadAnswer(f"a message of the live feed has no {name}")
    return found


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise BadAnswer("the answer to a subscription has no tokens")
    return found
