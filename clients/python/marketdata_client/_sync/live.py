# Made by unasync.py from _async/live.py. Change that, and make it again.
"""The live feed: frames of rows as they are stored, without a hole or a repeat, whatever breaks."""

from collections.abc import Generator, Iterator
from contextlib import closing

from marketdata_client._sync.history import whole
from marketdata_client._sync.session import Session
from marketdata_client.connections import receive
from marketdata_client.errors import Refused, Unreachable
from marketdata_client.history import Query
from marketdata_client.live import (
    PATH,
    PONG,
    SILENCE_SECONDS,
    FeedInterrupted,
    Frame,
    Reconnects,
    Subscription,
    followable,
    history_frame,
    message_in,
)


def frames(session: Session, subscription: Subscription) -> Generator[Frame, None, None]:
    """Iterate over frames for ever. A connection that breaks is opened again, from the last frame on.

    Raises `NotAuthenticated`, `Forbidden` and `InvalidRequest` if the server refuses for good, and `Unreachable` if it
    cannot be reached at the beginning.
    """
    reconnects = Reconnects(session.config.retries)
    while True:
        try:
            with session.websocket(PATH) as websocket:
                websocket.send(subscription.text())
                while True:
                    message = message_in(receive(websocket, SILENCE_SECONDS))
                    if message.get("op") == "ping":
                        websocket.send(PONG)
                    frame = subscription.take(message)
                    if frame is not None:
                        yield frame
                    reconnects.took(message)
        except (Refused, Unreachable, FeedInterrupted) as error:
            pause = reconnects.pause(error)
        session.sleep(pause)


def followed(session: Session, query: Query, symbol: str) -> Iterator[Frame]:
    """Iterate over the stored rows of a query as one frame, then over all that is stored after them."""
    channel = f"{query.dataset}:{symbol}"
    query = followable(query)
    first = history_frame(whole(session, query), query.dataset, channel)
    yield first
    with closing(frames(session, Subscription([channel], {channel: first.seq}))) as following:
        for frame in following:
            yield frame
