"""An answer as tables and facts."""

import pytest

from stats.rendering.answer_tables import SHOWN_ROWS, AnswerSection, Links, answer_sections, candle_bars

BAR = {"timestamp": "2025-01-02T14:30:00Z", "open": 1, "high": 3.5, "low": 1, "close": 2, "volume": 7}


def shown(data: object, links: Links = Links()) -> list[AnswerSection]:  # noqa: B008 it is frozen
    return answer_sections(data, links)


def texts(section: AnswerSection) -> list[list[str]]:
    return [[cell.text for cell in row] for row in section.rows]


def test_a_page_of_rows_begins_with_its_table():
    sections = shown({"symbol": "AAPL", "bars": [BAR, BAR], "next_cursor": None, "prev_cursor": "x"})
    assert [section.title for section in sections] == ["bars", ""]
    assert [column.name for column in sections[0].columns] == list(BAR)
    assert [column.is_number for column in sections[0].columns] == [False] + [True] * 5
    assert texts(sections[0])[0] == ["2025-01-02T14:30:00Z", "1", "3.5", "1", "2", "7"]
    assert [(name, cell.text) for name, cell in sections[1].facts] == [("symbol", "AAPL")]


def test_a_document_is_read_from_top_to_bottom():
    sections = shown({"id": 7, "bar": {"open": 1}, "prints": [{"price": 2}], "none": None})
    assert [(section.title, section.level) for section in sections] == [("", 2), ("bar", 3), ("prints", 3)]
    assert [(name, cell.text) for name, cell in sections[0].facts] == [("id", "7"), ("none", "")]


def test_rows_may_differ_in_their_fields():
    (section,) = shown([{"a": 1}, {"b": True}, {"a": None, "c": ["x", "y"]}])
    assert [column.name for column in section.columns] == ["a", "b", "c"]
    assert texts(section) == [["1", "", ""], ["", "true", ""], ["", "", "x, y"]]


def test_columns_without_a_value_are_left_out():
    (section,) = shown([{"a": 1, "b": None, "c": "", "d": []}])
    assert [column.name for column in section.columns] == ["a"]
    assert section.is_narrowed
    (section,) = shown([{"a": None}])
    assert not section.is_narrowed


def test_zero_and_false_are_values():
    (section,) = shown([{"a": 0, "b": False}])
    assert texts(section) == [["0", "false"]]


def test_only_the_first_rows_are_shown_and_all_are_counted():
    (section,) = shown([{"a": n} for n in range(SHOWN_ROWS + 1)])
    assert (len(section.rows), section.count) == (SHOWN_ROWS, SHOWN_ROWS + 1)


def test_objects_of_objects_are_a_table_by_name():
    sections = shown({"tiers": {"free": {"rate": 1}, "pro": {"rate": 2}}})
    assert texts(sections[0]) == [["free", "1"], ["pro", "2"]]


def test_what_is_nested_too_deep_stays_json():
    sections = shown({"a": {"b": {"c": {"d": {"e": 1}}}}})
    cells = [cell for section in sections for _, cell in section.facts]
    assert [(cell.text, cell.is_code) for cell in cells] == [('{"d":{"e":1}}', True)]


@pytest.mark.parametrize("data", ["text", 7, True])
def test_a_plain_value_is_a_fact(data: object):
    (section,) = shown(data)
    assert section.facts[0][1].text == str(data).replace("True", "true")


@pytest.mark.parametrize("data", [None, {}])
def test_an_empty_answer_has_no_parts(data: object):
    assert shown(data) == []


def test_an_empty_list_is_said():
    (section,) = shown({"bars": [], "next_cursor": None})
    assert [(name, cell.text) for name, cell in section.facts] == [("bars", "none")]


def test_only_addresses_of_this_host_are_links():
    links = Links("http://here/")
    (section,) = shown([{"own": "http://here/a", "other": "http://there/", "script": "javascript:a"}], links)
    assert [cell.url for cell in section.rows[0]] == ["http://here/a", "", ""]


def test_a_row_leads_to_its_page():
    links = Links("", "symbol", "instrument")
    (section,) = shown([{"symbol": "BTC/USD", "name": "AAPL"}], links)
    assert [cell.url for cell in section.rows[0]] == ["/api/v1/instruments/BTC/USD", ""]


def test_bars_of_one_symbol_are_drawn():
    later = {**BAR, "timestamp": "2025-01-02T14:31:00Z", "volume": None, "final": False}
    nothing = {**BAR, "open": None}
    bars = candle_bars({"symbol": "AAPL", "bars": [later, nothing, BAR]})
    assert bars == [{**BAR, "final": True}, {**later, "volume": 0}]


@pytest.mark.parametrize(
    "data",
    [
        {"bars": [BAR]},
        {"symbol": "AAPL", "bars": []},
        {"symbol": "AAPL", "bars": [{**BAR, "symbol": "AAPL"}]},
        {"symbol": "AAPL", "trades": [{"timestamp": "", "price": 1}]},
        [BAR],
    ],
    ids=["several", "none", "rows of several", "trades", "list"],
)
def test_other_answers_are_not_drawn(data: object):
    assert candle_bars(data) == []
