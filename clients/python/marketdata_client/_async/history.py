"""Reads stored data: page after page, or by a stream that is read again if it breaks."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from itertools import count
from typing import TypeVar

from marketdata_client._async.session import AsyncSession
from marketdata_client.errors import BadAnswer, IncompleteStream, MarketDataError, Unreachable
from marketdata_client.history import Query, StreamReader, page_table
from marketdata_client.requests import Answer, Parameter, Request
from marketdata_client.tables import Table, joined

T = TypeVar("T")


async def walk(
    session: AsyncSession,
    query: Query,
    make: Callable[[Parameter], Request],
    read: Callable[[Answer], tuple[T, str | None]],
) -> AsyncGenerator[T, None]:
    """Iterate over what `read` returns of each page. make: returns the request of a cursor. Raises `BadAnswer` if a page leads to itself."""
    cursor = query.params.get("cursor")
    while True:
        content, following = read(await session.answer(make(cursor)))
        yield content
        if following is None:
            return
        if following == cursor:
            raise BadAnswer("a page leads to itself")
        cursor = following


async def stream(session: AsyncSession, query: Query) -> AsyncGenerator[Table, None]:
    """Iterate over tables as their rows arrive. The end is reached only if the trailer agrees; else raises `IncompleteStream`."""
    async with session.open(query.stream()) as opened:
        reader = StreamReader(opened.headers.get("x-commit", ""))
        try:
            async for piece in opened.pieces():
                for table in reader.take(piece):
                    yield table
        except Unreachable as error:
            raise IncompleteStream(f"the stream broke off: {error}") from error
        for table in reader.end():
            yield table


async def whole(session: AsyncSession, query: Query) -> Table:
    """Return all rows of a query."""
    for attempt in count(1):
        tables = (
            stream(session, query)
            if query.is_streamed
            else walk(session, query, query.table_page, page_table)
        )
        try:
            async with aclosing(tables):
                return await _collected(tables, session.config.max_rows)
        except IncompleteStream as error:
            pause = session.config.retries.pause(attempt, error)
            if pause is None:
                raise
            session.config.retries.on_pause(error, pause)
        await session.sleep(pause)
    raise AssertionError("count() has no end")


async def _collected(tables: AsyncIterator[Table], max_rows: int) -> Table:
    found: list[Table] = []
    total = 0
    async for table in tables:
        found.append(table)
        total += len(table)
        if total > max_rows:
            raise MarketDataError(f"there are more than {max_rows:,} rows; raise max_rows, or iterate")
    return joined(found)
