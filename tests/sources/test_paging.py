"""Rows that come in parts become pages that claim only what was shown."""

import itertools

import pyarrow as pa
import pytest

from sources.asking import Shown, batch_of, minute_pages, pages_of
from sources.protocol import PAGE_ROWS, SourceFailed, SourcePage
from store.datasets import QUOTES, TRADES
from store.protocol import Window
from store.timestamps import MINUTE_NS
from tests.sources.asked import rows_of


def trades(*times: int) -> pa.RecordBatch:
    return batch_of(TRADES, {"timestamp": times, "price": [1.0] * len(times), "volume": [1.0] * len(times)})


def pages(*shown: tuple[tuple[int, ...], int | None]) -> list[tuple[list[int], tuple[int, int]]]:
    parts = (Shown(trades(*times), until_ns) for times, until_ns in shown)
    return [
        (page.rows.column(0).to_pylist(), (page.answered.start_ns, page.answered.end_ns))
        for page in pages_of("x", parts, 10)
    ]


def test_the_last_time_of_an_unfinished_part_waits_for_the_next_part():
    assert pages(((11, 12, 12), 12), ((12, 15), 30)) == [([11], (10, 12)), ([12, 12, 12, 15], (12, 30))]


def test_parts_of_one_time_become_one_page():
    assert pages(((12, 12), 12), ((12, 12), 12), ((12, 13), 13), ((), 20)) == [
        ([], (10, 12)),
        ([12] * 5, (12, 13)),
        ([13], (13, 20)),
    ]


def test_an_empty_part_answers_what_its_source_has_shown_and_no_more():
    assert pages(((), 10)) == []
    assert pages(((), 20)) == [([], (10, 20))]


def test_behind_the_last_row_nothing_is_answered():
    assert pages(((11, 12, 12), None), ((), None)) == [([11], (10, 12)), ([12, 12], (12, 13))]


def test_a_large_part_is_cut_between_two_times():
    times = [20 + row // 3 for row in range(3 * PAGE_ROWS)]
    found = list(pages_of("x", [Shown(trades(*times), 10**6)], 10))
    assert [page.rows.num_rows for page in found] == [9_999, 9_999, 9_999, 3]
    assert rows_of(found)["timestamp"].to_pylist() == times
    assert found[-1].answered == Window(20 + 9_999, 10**6)


def test_more_rows_of_one_time_than_a_page_has_are_one_page():
    found = list(pages_of("x", [Shown(trades(*[20] * (PAGE_ROWS + 5), 21), 30)], 10))
    assert [(page.rows.num_rows, page.answered.end_ns) for page in found] == [(PAGE_ROWS + 5, 21), (1, 30)]


@pytest.mark.parametrize("shown", [[((12, 11), 20)], [((11, 15), 15), ((14,), 20)], [((9,), 20)]])
def test_rows_that_go_back_in_time_are_refused(shown):
    with pytest.raises(SourceFailed, match="back in time"):
        pages(*shown)


def minutes(*bounds: float) -> list[SourcePage]:
    """Pages between some instants, in minutes. Each has a trade at its start."""
    at = [int(each * MINUTE_NS) for each in bounds]
    return [SourcePage(trades(start), Window(start, end)) for start, end in itertools.pairwise(at)]


def test_pages_of_trades_end_with_a_whole_minute_but_the_last():
    given = minutes(0.5, 1.5, 1.7, 3.2, 3.4)
    found = list(minute_pages(given, TRADES))
    assert [each.answered.end_ns / MINUTE_NS for each in found] == [1, 3, 3.4]
    assert rows_of(found)["timestamp"].to_pylist() == rows_of(given)["timestamp"].to_pylist()
    assert list(minute_pages(given, QUOTES)) == given


def test_a_part_of_a_minute_is_not_given_if_no_page_follows():
    def failing():
        yield from minutes(0, 1.5)
        raise SourceFailed("away")

    pages = minute_pages(failing(), TRADES)
    assert next(pages).answered == Window(0, MINUTE_NS)
    with pytest.raises(SourceFailed):
        next(pages)


def test_a_stretch_that_no_page_answers_parts_two_pages():
    (first,), (second,) = minutes(0, 1.5), minutes(2.5, 4)
    assert list(minute_pages([first, second], TRADES)) == [
        SourcePage(trades(0), Window(0, MINUTE_NS)),
        SourcePage(trades(), Window(MINUTE_NS, 3 * MINUTE_NS // 2)),
        second,
    ]
