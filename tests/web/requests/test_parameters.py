"""Query parameters, read strictly."""

import pytest
from django.http import QueryDict

from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice, single_parameters

KNOWN = ("limit", "sort")


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limt=1", "unknown_parameter", "the parameter limt is not known here; did you mean limit?"),
        ("zzz=1", "unknown_parameter", "the parameter zzz is not known here; known are limit, sort"),
        ("x" * 99, "unknown_parameter", f"the parameter {'x' * 64} is not known here; known are limit, sort"),
        ("limit=1&limit=2", "repeated_parameter", "the parameter limit is given 2 times; send it once"),
        ("limit=", "empty_parameter", "the parameter limit is empty; give a value or leave it out"),
        ("limit=&zzz=1", "unknown_parameter", "the parameter zzz is not known here; known are limit, sort"),
    ],
)
def test_the_message_says_what_is_wrong_with_a_query(query, code, message):
    with pytest.raises(InvalidParameter) as refused:
        single_parameters(QueryDict(query), KNOWN)
    assert (refused.value.code, str(refused.value)) == (code, message)


def test_where_no_parameter_is_known_none_is_named():
    with pytest.raises(InvalidParameter, match=r"is not known here$"):
        single_parameters(QueryDict("zzz=1"), ())


def test_each_parameter_has_one_value():
    assert single_parameters(QueryDict("sort=asc&limit=%2B1"), KNOWN) == {"sort": "asc", "limit": "+1"}


def test_a_parameter_is_one_of_a_few_words():
    assert choice({"sort": "desc"}, "sort", ("asc", "desc"), "asc") == "desc"
    assert choice({}, "sort", ("asc", "desc"), "") == ""
    with pytest.raises(InvalidParameter, match="sort is one of asc, desc, not 'up'"):
        choice({"sort": "up"}, "sort", ("asc", "desc"), "asc")
