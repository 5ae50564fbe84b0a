"""The live feed: frames of rows as they are stored, without a hole or a repeat, whatever breaks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marketdata_client.bodies import object_in
from marketdata_client.errors import (
    BadAnswer,
    MarketDataError,
    Refused,
    Unreachable,
    refusal,
)
from marketdata_client.history import Query, whole
from marketdata_client.site import Site
from marketdata_client.steps import Connect, Emit, Flow, Hear, Say, Sleep

_PATH = "/ws/v1/stream"
# The server pings each 15 seconds.
_SILENCE_SECONDS = 40.0
_DAY_SECONDS = 86_400.0
# 4401: the credential is not valid any more; 4403: it may not read this any more.
_FINAL_CLOSES = {4401, 4403}
_PASSING = {429, 502, 503, 504}
_LOSSLESS = ("trades:", "quotes:", "status:", "orders:", "alerts:")
# Errors within the feed have a code, but no HTTP status.
_ERROR_STATUS = 400


@dataclass(frozen=True, slots=True)
class Frame:
    """One channel's rows of one commit.

    rows: as the JSON has them; of kind `corrections` the changes of earlier rows. seq: the token after it, to resume
    from. kind: `rows`, `corrections`; `resync`: forget the channel's rows, and read them by REST; `history`: the rows
    that were stored before, of `follow`. message: the whole object.
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

    def text(self) -> str:
        """Return the message that subscribes."""
        terms: dict[str, Any] = {"op": "subscribe", "channels": list(self.channels)}
        if self.tokens:
            terms["from"] = self.tokens
        if self.mode is not None:
            terms["mode"] = self.mode
        return json.dumps(terms)


class _Lost(MarketDataError):
    """A frame does not continue the one before."""


def frames(site: Site, subscription: Subscription) -> Flow[None]:
    """Emit `Frame`s for ever. A connection that breaks is opened again, from the last frame on.

    Raises `NotAuthenticated`, `Forbidden` and `InvalidRequest` if the server refuses for good, and `Unreachable` if it
    cannot be reached at the beginning.
    """
    failures, has_begun = 0, False
    while True:
        try:
            yield Connect(site.websocket(_PATH))
            yield Say(subscription.text())
            while True:
                message = object_in((yield Hear(_SILENCE_SECONDS)).encode())
                has_begun = has_begun or message.get("op") == "subscribed"
                pause = yield from _received(subscription, message)
                if pause is not None:
                    yield Sleep(min(pause, site.retries.longest_pause))
                    break
                # Not after `subscribed`: each round of a server that then fails has it.
                failures = failures if message.get("op") == "subscribed" else 0
        except (Refused, Unreachable) as error:
            pause = _pause(site, error, failures)
            failures += 1
            if not has_begun and failures >= site.retries.attempts:
                raise
            yield Sleep(pause)
        except _Lost:
            failures += 1
            yield Sleep(site.retries.back_off(failures))


def _pause(site: Site, error: Refused | Unreachable, failures: int) -> float:
    """Return the seconds until the next attempt. Raises what does not pass by itself."""
    if isinstance(error, Refused):
        if error.status not in _PASSING:
            raise error
        if error.retry_after is not None:
            return min(error.retry_after, site.retries.longest_pause)
    elif error.close_code in _FINAL_CLOSES:
        status = error.close_code - 4000
        raise refusal(status, {"code": "closed", "message": str(error)}) from error
    return site.retries.back_off(failures + 1)


def _received(subscription: Subscription, message: Mapping[str, Any]) -> Flow[float | None]:
    """Take a message; return the seconds after which to connect again, None to go on."""
    match message.get("op"):
        case None:
            yield from _frame(subscription, message)
        case "subscribed":
            subscription.tokens |= _texts(message.get("channels"))
        case "resync":
            channel, seq = _text(message, "ch"), _text(message, "seq")
            subscription.tokens[channel] = seq
            yield Emit(Frame(channel, [], seq, "resync", message))
        case "ping":
            yield Say('{"op":"pong"}')
        case "closing":
            return _retry_after(message)
        case "error":
            if message.get("code") != "rate_limited":
                raise refusal(_ERROR_STATUS, message)
            return _retry_after(message)
        case _:
            pass
    return None


def _frame(subscription: Subscription, message: Mapping[str, Any]) -> Flow[None]:
    channel, rows = _text(message, "ch"), message.get("data")
    if not isinstance(rows, list):
        raise BadAnswer("a frame has no list of rows")
    seq, expected = _text(message, "seq"), subscription.tokens.get(channel)
    previous = message.get("prev")
    is_lossless = channel.startswith(_LOSSLESS) and subscription.mode != "latest"
    if is_lossless and expected is not None and previous is not None and previous != expected:
        raise _Lost(f"{channel}: a frame after {previous} came, not after {expected}")
    subscription.tokens[channel] = seq
    yield Emit(Frame(channel, rows, seq, str(message.get("kind", "rows")), message))


def followed(site: Site, query: Query, channel: str) -> Flow[None]:
    """Emit the stored rows of a range or `last=` as one frame, then all that is stored after them."""
    dataset = channel.partition(":")[0]
    table = yield from whole(site, query)
    token = dict(part.strip().split("=", 1) for part in table.commit.split(",") if "=" in part).get(dataset)
    if token is None:
        raise BadAnswer(f"the answer's X-Commit names no commit of {dataset}")
    yield Emit(Frame(channel, table.rows(), token, "history"))
    yield from frames(site, Subscription([channel], {channel: token}))


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
