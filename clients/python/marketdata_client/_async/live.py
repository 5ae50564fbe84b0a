"""The live feed: frames of rows as they are stored, without a hole or a repeat, whatever breaks."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from marketdata_client._async.history import whole
from marketdata_client._async.session import AsyncSession
from marketdata_client.connections import async_receive
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


async def frames(session: AsyncSession, subscription: Subscription) -> AsyncGenerator[Frame, None]:
    """Iterate over frames for ever. A connection that breaks is opened again, from the last frame on.

    Raises `NotAuthenticated`, `Forbidden` and `InvalidRequest` if the server refuses for good, and `Unreachable` if it
    cannot be reached at the beginning.
    """
    reconnects = Reconnects(session.config.retries)
    while True:
        try:
            async with session.websocket(PATH) as websocket:
                await websocket.send(subscription.text())
                while True:
                    message = message_in(await async_receive(websocket, SILENCE_SECONDS))
                    if message.get("op") == "ping":
                        await websocket.send(PONG)
                    frame = subscription.take(message)
                    if frame is not None:
                        yield frame
                    reconnects.took(message)
        except (Refused, Unreachable, FeedInterrupted) as error:
            pause = reconnects.pause(error)
        await session.sleep(pause)


async def followed(session: AsyncSession, query: Query, symbol: str) -> AsyncIterator[Frame]:
    """Iterate over the stored rows of a query as one frame, then over all that is stored after them."""
    channel = f"{query.dataset}:{symbol}"
    query = followable(query)
    first = history_frame(await whole(session, query), query.dataset, channel)
    yield first
    async with aclosing(frames(session, Subscription([channel], {channel: first.seq}))) as following:
        async for frame in following:
            yield frame
