"""Streams are charged piece by piece, whichever thread makes a piece."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ratelimit.limits.middleware import _settled
from web.requests.work import Work, WorkKind, count_work


def test_what_is_counted_while_a_piece_is_made_is_charged_before_it_is_sent():
    def pieces() -> Iterator[bytes]:
        for piece in (b"one", b"two"):
            count_work(WorkKind.OPTIONS, 300)
            yield piece
        count_work(WorkKind.ROWS, 1_000)

    work = Work()
    charged: list[int] = []
    settled = _settled(pieces(), work, lambda: charged.append(work.tokens))
    with ThreadPoolExecutor(1) as thread:
        made = [thread.submit(next, settled, None).result() for _ in range(3)]
    assert made == [b"one", b"two", None]
    assert charged == [3, 6, 7]
