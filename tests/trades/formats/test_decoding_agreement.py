"""The typed decoder and the declared serializer accept and refuse exactly the same bodies."""

import json
from functools import cache

import orjson
import pytest
from django.conf import settings as project
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.datasets import TRADES
from tests.api_client import body_of, trade
from tests.chance import SOAK
from trades.batches.row_batch import BatchOptions, TypedDecodeFailed
from trades.batches.serializers import batch_serializer
from trades.exceptions import BatchRefused
from trades.formats import json_body
from trades.formats.json_body import decode_json, json_refusal
from web.requests.exceptions import MalformedDocument
from web.requests.json_document import read_json

pytestmark = pytest.mark.system

REFERENCE = project.REAL_DATA / "reference"
FIELDS = (
    "timestamp",
    "symbol",
    "price",
    "volume",
    "trade_id",
    "sequence",
    "exchange",
    "conditions",
    "received_at",
)
TEXT_FIELDS = ("timestamp", "symbol", "trade_id", "exchange", "received_at")
FULL = {
    "timestamp": '"2025-01-02T14:30:00.123456789Z"',
    "symbol": '"AAPL"',
    "price": "189.98",
    "volume": "100",
    "trade_id": '"t-1"',
    "sequence": "7",
    "exchange": '"XNAS"',
    "conditions": '["regular","odd_lot"]',
    "received_at": '"2025-01-02T14:30:01Z"',
}


def typed_accepts(body: bytes, *, ignore_unknown: bool) -> bool:
    """Whether the typed decoder accepts a body, decoded as a whole; checks that cut at every row it says the same."""
    accepted = []
    for piece_bytes in (len(body), 1):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(json_body, "_PIECE_BYTES", piece_bytes)
                decode_json(body, BatchOptions(ignore_unknown=ignore_unknown))
        except (TypedDecodeFailed, BatchRefused, MalformedDocument):
            accepted.append(False)
        else:
            accepted.append(True)
    assert accepted[0] == accepted[1], (ignore_unknown, body)
    return accepted[0]


def declared_accepts(body: bytes, *, ignore_unknown: bool) -> bool:
    try:
        document = read_json(body)
    except MalformedDocument:
        return False
    serializer = batch_serializer(TRADES)(data=document, context={"ignore_unknown": ignore_unknown})
    return serializer.is_valid()


def assert_agreement(body: bytes, *, thorough: bool = True) -> None:
    """Both say the same; thoroughly: also with unknown fields ignored, and a refusal can be told to a client."""
    for ignore_unknown in (False, True) if thorough else (False,):
        typed = typed_accepts(body, ignore_unknown=ignore_unknown)
        assert declared_accepts(body, ignore_unknown=ignore_unknown) == typed, (ignore_unknown, body)
    if thorough and not typed:
        refusal = json_refusal(body, BatchOptions(ignore_unknown=ignore_unknown))
        orjson.dumps([refusal.code, str(refusal), [(e.path, e.code, e.message) for e in refusal.errors]])


@cache
def naughty_strings() -> list[str]:
    path = REFERENCE / "blns.json"
    return (
        json.loads(path.read_bytes()) if path.exists() else ["", " ", "\x00", "\u202e", "=cmd|calc", "1_000"]
    )


NUMBERS = [
    "0", "-0", "-0.0", "1", "-1", "1.0", "0.5", "1e5", "1E5", "1e+5", "1e-400", "1e400", "1E400", "-1e999", "1e999",
    "9007199254740992", "9007199254740993", "9007199254740992.0", "9007199254740993.0", "9007199254740994",
    "9.007199254740992e15", "9007199254740992.5", "9007199254740992.00000000000000000001",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
    "1" + "0" * 30, "1" * 299, "1" * 300, "1" * 309, "1" * 310, "1" * 5000, "0." + "0" * 400 + "1", "5e-324", "2e-324",
    "1" * 400 + "e-399", "100" + "0" * 350 + "e-350", "1.7976931348623157e308", "1.7976931348623159e308",
    "01", "-01", "1.", ".5", "+1", "1e", "1e+", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "--1", "1 1", "\uff11",
]  # fmt: skip
OTHER_VALUES = [
    "null", "true", "false", "{}", "[]", '""', '" "', '"A"', '"1"', '"1_000"', "[[]]", "[null]", "[1]", '[""]', '["a b"]',
    '["a;b"]', '["a"]', '["a","a"]', "[" + ",".join(['"w"'] * 32) + "]", "[" + ",".join(['"w"'] * 33) + "]",
    '{"a":1}', '{"a":1,"a":2}', "True", "None", "undefined", "", ",", "[1,]", '["a",]', "[" * 990 + "]" * 990, '"\\ud800"',
    '"\\ud83d\\ude00"', '"\\u0041APL"', '"\\x41"', '"\\u00"', '"A\nB"', '"A\\nB"', '"\x7f"', '"\u2028"', '"\x00"', '"' + "A" * 64 + '"',
    '"' + "A" * 65 + '"', '"' + "A" * 32 + '"', '"' + "A" * 33 + '"', '"\\"', '"a', "'a'",
]  # fmt: skip
SYMBOLS = [
    "BRK.B",
    "brk.b",
    "BTC/USD",
    "^GSPC",
    "ES=F",
    "A B",
    "A  B",
    " A",
    "A ",
    ".A",
    "-A",
    "a:b+c",
    "\u0391APL",
    "../x",
    "\u017f",
    "AAPL\n",
]

dates = st.sampled_from(
    ["2025-01-02", "20250102", "2025-1-2", "2024-02-29", "2025-02-29", "2025-02-30", "1899-12-31", "1900-01-01", "2200-12-31",
     "2201-01-01", "0001-01-01", "9999-12-31", "2025-13-01", "2025-00-10", "2025-W01-1", "2025-001", "02/01/2025", "-2025-01-02", ""]
)  # fmt: skip
separators = st.sampled_from(["T", " ", "t", "", "  ", "_"])
clocks = st.sampled_from(
    [
        "14:30:00",
        "14:30",
        "14",
        "143000",
        "1430",
        "24:00:00",
        "23:59:60",
        "23:59:59",
        "14:60:00",
        "1:02:03",
        "14:30:0",
        "",
    ]
)
fractions = st.one_of(
    st.just(""),
    st.integers(0, 12).map(lambda count: "." + "123456789012"[:count]),
    st.sampled_from([",5", ".-5", ". 5", ".5.5"]),
)
offsets = st.sampled_from(
    ["Z", "z", "", "+00:00", "-00:00", "+05:30", "-05", "+0530", "+24:00", "+23:59", "+5", "+05:60", "UTC", " Z", "Z ", "+14:00", "ZZ",
     "[UTC]", "EST"]
)  # fmt: skip
timestamps = st.tuples(dates, separators, clocks, fractions, offsets).map("".join) | dates
texts = st.one_of(
    st.deferred(lambda: st.sampled_from(naughty_strings())),
    timestamps,
    st.sampled_from(SYMBOLS),
    st.text(max_size=8),
)
encoded_texts = st.builds(json.dumps, texts, ensure_ascii=st.booleans())
values = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(OTHER_VALUES),
    encoded_texts,
    encoded_texts.map(lambda text: f"[{text}]"),
    st.floats().map(repr),
    st.integers().map(str),
)
keys = st.one_of(
    st.sampled_from([f'"{name}"' for name in (*FIELDS, "prise", "trades", "")]),
    st.sampled_from(['"pr\\u0069ce"', '"\\u0074imestamp"', '"symbol\\u0000"', '"\\ud800"', "price", "1"]),
    encoded_texts,
)
spaces = st.sampled_from(["", "", "", " ", "\n\t", "\r", "\x0b", "\x00", "\u00a0", "/**/"])


@st.composite
def mutated_rows(draw) -> str:
    """A row as JSON text: some optional fields left out, and mostly one thing about it changed."""
    present = [name for name in FIELDS if name in FIELDS[:4] or draw(st.booleans())]
    pairs = [(f'"{name}"', FULL[name]) for name in present]
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        place = draw(st.integers(0, len(pairs) - 1)) if pairs else 0
        match draw(st.sampled_from(["value", "value", "value", "value", "key", "extra", "double", "drop"])):
            case "value" if pairs:
                pairs[place] = (pairs[place][0], draw(values))
            case "key" if pairs:
                pairs[place] = (draw(keys), pairs[place][1])
            case "double" if pairs:
                pairs.insert(draw(st.integers(0, len(pairs))), pairs[place])
            case "drop" if pairs:
                del pairs[place]
            case _:
                pairs.insert(place, (draw(keys), draw(values)))
    space = draw(spaces)
    return "{" + f"{space},{space}".join(f"{key}{space}:{space}{value}" for key, value in pairs) + "}"


@st.composite
def bodies(draw) -> bytes:
    rows = draw(st.lists(mutated_rows(), min_size=1, max_size=3))
    if draw(st.integers(0, 9)) == 0:
        rows.append(draw(values))
    key = draw(st.sampled_from(['"trades"'] * 20 + ['"tr\\u0061des"', '"Trades"', "trades"]))
    document = f"{{{key}:[{','.join(rows)}]"
    document += draw(
        st.sampled_from(["}"] * 20 + ["", "}}", ',"trades":[]}', ',"x":1}', ',"tr\\u0061des":[]}', ",}"])
    )
    prefix = draw(st.sampled_from(["", "", "", " ", "\ufeff", "\n", "\x00", "x"]))
    codec = draw(st.sampled_from(["utf-8"] * 20 + ["utf-16", "utf-16-le", "utf-32", "latin-1"]))
    text: str = prefix + document
    return text.encode(codec, "backslashreplace" if codec == "latin-1" else "surrogatepass")


@settings(max_examples=5_000 if SOAK else 15, deadline=None)
@given(body=bodies())
@example(body=b'{"trades":[],"trades":[]}')
@example(body=b"")
def test_a_mutated_body_is_accepted_by_both_or_refused_by_both(body):
    assert_agreement(body)


@settings(max_examples=2_000 if SOAK else 10, deadline=None)
@given(text=timestamps, field=st.sampled_from(["timestamp", "received_at"]), beside=st.booleans())
def test_both_take_the_same_forms_of_time(text, field, beside):
    rows = [trade(**{field: text}), *([trade()] if beside else [])]
    assert_agreement(body_of(*rows))


@settings(max_examples=2_000 if SOAK else 15, deadline=None)
@given(place=st.integers(0, 400), byte=st.integers(0, 255), width=st.integers(0, 2))
def test_both_judge_a_damaged_body_alike(place, byte, width):
    row = "{" + ",".join(f'"{name}":{value}' for name, value in FULL.items()) + "}"
    body = f'{{"trades":[{row}]}}'.encode()
    assert_agreement(body[:place] + bytes([byte]) + body[place + width :])


@pytest.mark.parametrize("field", FIELDS)
def test_both_judge_each_value_alike(field):
    for number, value in enumerate(NUMBERS + OTHER_VALUES):
        row = "{" + ",".join(f'"{n}":{value if n == field else v}' for n, v in FULL.items()) + "}"
        # How a refusal is told, and unknown fields, are the same for all values.
        thorough = SOAK or number % 10 == 0
        assert_agreement(f'{{"trades":[{row}]}}'.encode("utf-8", "surrogatepass"), thorough=thorough)


def test_both_judge_each_price_alike_of_an_instrument_that_may_have_any():
    expected = BatchOptions(allows_nonpositive_price=lambda _: True)
    accepted = 0
    for value in [*NUMBERS, *(f"-{number}" for number in NUMBERS), *OTHER_VALUES]:
        row = "{" + ",".join(f'"{n}":{value if n == "price" else v}' for n, v in FULL.items()) + "}"
        body = f'{{"trades":[{row}]}}'.encode("utf-8", "surrogatepass")
        try:
            typed = bool(decode_json(body, expected))
        except (TypedDecodeFailed, MalformedDocument):
            typed = False
        try:
            serializer = batch_serializer(TRADES)(data=read_json(body), context={"options": expected})
            assert serializer.is_valid() is typed, body
        except MalformedDocument:
            assert not typed, body
        accepted += typed
    assert accepted > 30


@pytest.mark.parametrize(
    ("index", "field"),
    [*enumerate([*TEXT_FIELDS, "conditions", "name"])],
    ids=[*TEXT_FIELDS, "conditions", "name"],
)
def test_both_judge_naughty_strings_in_each_text_alike(index, field):
    # Each string in one field; all of them in all fields with SOAK=1.
    for text in naughty_strings() if SOAK else naughty_strings()[index::7]:
        row = (
            trade(**{text: 1})
            if field == "name"
            else trade(**{field: [text] if field == "conditions" else text})
        )
        assert_agreement(body_of(row), thorough=SOAK)
        if SOAK:
            assert_agreement(json.dumps({"trades": [row]}).encode())


def test_a_full_row_is_accepted_so_that_the_agreement_says_something():
    row = "{" + ",".join(f'"{name}":{value}' for name, value in FULL.items()) + "}"
    assert typed_accepts(f'{{"trades":[{row}]}}'.encode(), ignore_unknown=False)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference files are not here")
def test_both_judge_each_reference_file_alike():
    for path in sorted(REFERENCE.iterdir()):
        assert_agreement(path.read_bytes())
        assert_agreement(b'{"trades":[' + path.read_bytes() + b"]}")
