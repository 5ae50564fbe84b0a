"""The codes of query parameters are the fields' own."""

import pytest
from rest_framework.exceptions import ValidationError

from stats.ohlc.serializers import IntervalField, OhlcInterval
from stats.parameters import CursorField


@pytest.mark.parametrize("interval", OhlcInterval)
def test_an_interval_is_read_by_its_name(interval: OhlcInterval):
    field = IntervalField()
    assert field.run_validation(interval.value) is interval
    assert field.to_representation(interval) == interval.value


@pytest.mark.parametrize("text", ["", "2min", "1MIN", " 1min", "1min\x00", "MINUTE"])
def test_another_name_is_an_unknown_interval(text: str):
    with pytest.raises(ValidationError) as refused:
        IntervalField().run_validation(text)
    assert refused.value.get_codes() == ["unknown_interval"]


@pytest.mark.parametrize("text", ["", "\x00", "abc\x00", "abc=", "a c", "a+/", "abc\n", "é"])
def test_text_that_no_page_gave_is_an_invalid_cursor(text: str):
    with pytest.raises(ValidationError) as refused:
        CursorField().run_validation(text)
    assert refused.value.get_codes() == ["invalid_cursor"]


def test_text_like_a_cursor_is_left_to_the_decoder():
    assert CursorField().run_validation("Az09_-") == "Az09_-"
