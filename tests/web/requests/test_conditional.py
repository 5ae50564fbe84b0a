import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.requests.conditional import etag_of, is_current

TAG = '"0123456789abcdef0123456789abcdef"'


@pytest.mark.parametrize(
    "field",
    [
        TAG,
        f"W/{TAG}",
        "*",
        " * ",
        f'"other", {TAG}',
        f'{TAG},"other"',
        f'"a,b" , W/{TAG}\t',
        f",, {TAG},",
        f'"",{TAG}',
        f'{TAG[:-1]}-gzip"',
        f'W/{TAG[:-1]}-gzip"',
        f'"other-gzip", {TAG[:-1]}--gzip"',
        f'{TAG[:-1]}-br"',
        f'{TAG[:-1]}-zstd"',
    ],
)
def test_a_field_that_names_the_tag_is_current(field: str):
    assert is_current(field, TAG)


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        '"other"',
        TAG.strip('"'),
        f"w/{TAG}",
        f"W/ {TAG}",
        f"{TAG} {TAG}",
        f'"open, {TAG}',
        f"{TAG}x",
        f"{TAG}-gzip",
        f'{TAG[:-1]}-gzip-gzip"',
        f'{TAG[:-1]}gzip"',
        f'{TAG[:-1]}-other"',
        f"*, {TAG}",
        f'"{TAG}',
        TAG.upper(),
        ",",
    ],
)
def test_a_field_without_the_tag_or_malformed_is_not_current(field: str | None):
    assert not is_current(field, TAG)


def test_a_weak_tag_of_ours_compares_weakly():
    assert is_current(TAG, f"W/{TAG}")


@given(st.text(max_size=40))
def test_any_text_is_answered(field: str):
    assert is_current(field, TAG) == (field.strip(" \t") == "*")


def test_a_long_malformed_list_is_refused_quickly():
    assert not is_current('"a" ' * 50_000, TAG)
    assert not is_current(" " * 200_000, TAG)


def test_etag_is_strong_stable_and_one_per_representation():
    assert etag_of("mktdata:A:ohlcv::1:json") == '"8927fc139348607314a0b8538e7ef258"'
    assert etag_of("mktdata:A:ohlcv::1:json") != etag_of("mktdata:A:ohlcv::1:csv")
    assert is_current(etag_of("one"), etag_of("one"))
