"""One call is one line, whatever the client sent."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.records import columns
from audit.records.call import LINE_BYTES, record_of_call
from audit.spooling.lines import UnreadableRecordError, decode_line, encode_line
from ops.masking import masked_text

pytestmark = pytest.mark.system

AT = datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CALL = {
    "at": AT,
    "caller": "key:12",
    "method": "GET",
    "path": "/api/v1/stats/ohlc",
    "query": "symbol=AAPL",
    "status": 200,
    "latency_us": 1234,
    "address": "127.0.0.1",
    "correlation_id": "0b5c",
    "declared": frozenset({"symbol", "q", "x"}),
}
# Half surrogate pairs included: a text of Python's may hold them.
ANY_TEXT = st.text(st.characters(), max_size=3000)
TEXTS = ("caller", "method", "path", "query", "address", "correlation_id")


def call(**changes):
    return record_of_call(**{**CALL, **changes})


def test_line_is_json_with_utc_time():
    assert encode_line(call()) == (
        b'["2025-01-02T03:04:05.678901Z","key:12","GET","/api/v1/stats/ohlc","symbol=AAPL",200,1234,"127.0.0.1","0b5c",'
        b'"","","",""]\n'
    )


@given(texts=st.fixed_dictionaries(dict.fromkeys(TEXTS, ANY_TEXT)), latency=st.integers(-5, 2**63 - 1))
@example(texts=dict.fromkeys(TEXTS, "\x01" * 3000), latency=0)
@example(texts=dict.fromkeys(TEXTS, "\ud800" * 3000), latency=0)
@example(texts=dict.fromkeys(TEXTS, "\U0001f600" * 3000), latency=0)
@example(texts=dict.fromkeys(TEXTS, "\0\r\n" * 1000), latency=0)
def test_any_strings_make_exactly_one_line_that_parses_back(texts, latency):
    line = encode_line(call(**texts, latency_us=latency))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert b"\r" not in line
    assert len(line) <= LINE_BYTES
    parsed = decode_line(line[:-1])
    assert (parsed.at, parsed.status, parsed.latency_us) == (AT, 200, max(latency, 0))
    assert len(parsed.path) <= columns.PATH_CHARS


@given(
    texts=st.fixed_dictionaries(
        {
            **dict.fromkeys(TEXTS, st.text('abc \r\n\t"\\é漢/', max_size=16)),
            # Of these two all but plain ASCII is masked.
            **dict.fromkeys(("path", "query"), st.text("abc /", max_size=16).map("q={}".format)),
        }
    )
)
def test_short_values_come_back_unchanged(texts):
    parsed = decode_line(encode_line(call(**texts))[:-1])
    assert {name: getattr(parsed, name) for name in TEXTS} == texts


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("caller", columns.CALLER_CHARS),
        ("method", columns.METHOD_CHARS),
        ("path", columns.PATH_CHARS),
        ("query", columns.QUERY_CHARS),
        ("address", columns.ADDRESS_CHARS),
        ("correlation_id", columns.CORRELATION_ID_CHARS),
    ],
)
def test_long_value_is_cut_and_marked(field, limit):
    sent = ("q=" if field == "query" else "aa") + "a" * limit
    assert getattr(call(**{field: sent}), field) == sent[: limit - 1] + columns.TRUNCATED
    assert getattr(call(**{field: sent[:limit]}), field) == sent[:limit]


def test_caller_survives_a_query_that_makes_the_line_too_long():
    parsed = decode_line(
        encode_line(call(caller="\x01" * 100, query="q=" + "a" * 5000, path="a" * 5000))[:-1]
    )
    assert parsed.caller == "\x01" * 100
    assert parsed.query.endswith(columns.TRUNCATED)


def test_secret_is_masked_before_the_value_is_cut():
    key = "md_a1B2c3D4_" + "x" * 40
    kept = call(query="q=" + "a" * (columns.QUERY_CHARS - 30) + "&x=" + key, path="/" + key).query
    assert "md_" not in kept


@pytest.mark.parametrize(
    "sent", ["md_a1B2c3D4_" + "x" * 32, "Ab3" * 14 + "d", "token=0a", "0a\ntoken=0a"], ids=ascii
)
def test_secret_is_masked_in_a_correlation_id(sent):
    assert call(correlation_id=sent).correlation_id == masked_text(sent) != sent


@given(st.from_regex(r"[0-9a-f-]{1,36}", fullmatch=True))
def test_an_id_of_hexadecimal_digits_has_nothing_to_mask(sent):
    assert call(correlation_id=sent).correlation_id == sent == masked_text(sent)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="torn"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(encode_line(call())[:-1].replace(b"AAPL", b"\xff"), id="not-utf-8-inside"),
        pytest.param(encode_line(call())[:-1].replace(b"200", b'"200"'), id="wrong-type"),
        pytest.param(encode_line(call())[:-1].replace(b"678901Z", b"678901"), id="time-without-zone"),
        pytest.param(encode_line(call())[:-1].replace(b"key:12", b"k" * 101), id="too-long-for-its-column"),
        pytest.param(encode_line(call())[:-1].replace(b"key:12", b"\\u0000"), id="nul"),
        pytest.param(encode_line(call())[:-1].replace(b"key:12", b"\\ud800"), id="half-surrogate"),
    ],
)
def test_line_that_no_column_would_take_is_unreadable(line):
    with pytest.raises(UnreadableRecordError):
        decode_line(line)
