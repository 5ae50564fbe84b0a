"""Secrets never reach the audit log."""

from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.records.masking import DEPTH, masked_document, masked_line, masked_path, masked_query, masked_text

API_KEY = "md_a1B2c3D4_" + "x" * 32


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(
            "symbol=AAPL&start=2025-01-02T00%3A00%3A00Z",
            "symbol=AAPL&start=2025-01-02T00%3A00%3A00Z",
            id="innocent",
        ),
        pytest.param("key=abc", "key=***", id="key"),
        pytest.param("api_key=abc&symbol=A", "api_key=***&symbol=A", id="api_key"),
        pytest.param("apikey=abc", "apikey=***", id="apikey"),
        pytest.param("X-API-Key=abc", "X-API-Key=***", id="header-style"),
        pytest.param("TOKEN=abc", "TOKEN=***", id="upper-case"),
        pytest.param("access_token=abc", "access_token=***", id="access_token"),
        pytest.param("a=1&client_secret=b&c=2", "a=1&client_secret=***&c=2", id="in-the-middle"),
        pytest.param("password=p%26q", "password=***", id="password"),
        pytest.param("signature=abc", "signature=***", id="signature"),
        pytest.param("Authorization=Api-Key%20abc", "Authorization=***", id="authorization"),
        pytest.param("sig=abc&auth=def&jwt=g", "sig=***&auth=***&jwt=***", id="short-names"),
        pytest.param("a%70i_k%65y=abc", "a%70i_k%65y=***", id="encoded-name"),
        pytest.param("a=1;token=abc", "a=1;token=***", id="semicolon"),
        pytest.param("token=a=b", "token=***", id="equals-in-value"),
        pytest.param("token=", "token=", id="empty-value"),
        pytest.param("token", "token", id="no-value"),
        pytest.param(f"x={API_KEY}", "x=***", id="key-as-value"),
        pytest.param(f"x=Bearer+{API_KEY}", "x=***", id="key-inside-value"),
        pytest.param(f"x={API_KEY.replace('_', '%5F')}", "x=***", id="encoded-key"),
        pytest.param(f"x=%6D%64_{API_KEY[3:]}", "x=***", id="key-with-encoded-letters"),
        pytest.param(f"{API_KEY}&a=1", "***&a=1", id="bare-key"),
        pytest.param(f"{API_KEY}=1", "***", id="key-as-name"),
        pytest.param("design=1&signal=2&passed=3", "design=1&signal=2&passed=3", id="only-looks-suspicious"),
    ],
)
def test_query(query, masked):
    assert masked_query(query) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("/api/v1/stats/ohlc", "/api/v1/stats/ohlc", id="innocent"),
        pytest.param(f"/api/v1/keys/{API_KEY}/rotate", "/api/v1/keys/***/rotate", id="key"),
        pytest.param(f"/x/mds_{'x-_A' * 10}abc/y", "/x/***/y", id="signing-secret"),
        pytest.param("/api/v1/cmd_1/x", "/api/v1/cmd_1/x", id="not-a-key"),
    ],
)
def test_path(text, masked):
    assert masked_text(text) == masked


@given(
    before=st.text(st.sampled_from("ab&=;%+1 _é"), max_size=12),
    after=st.text(st.sampled_from("&=;%+ é"), max_size=12),
)
def test_api_key_is_masked_wherever_it_stands(before, after):
    masked = masked_query(f"{before}{API_KEY}{after}")
    assert API_KEY not in masked
    assert "x" * 32 not in masked


@given(st.text(st.sampled_from("abc&=;%+123 é"), max_size=40))
def test_what_holds_no_secret_is_kept(query):
    assert masked_query(query) == query


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"
SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"a {API_KEY} b", "a *** b"),
        ("a mds_" + "x" * 43 + " b", "a *** b"),
        (f"a {JWT} b", "a *** b"),
        (f"a {JWT[:-9]} b", "a *** b"),
        (f"a {PEM} b", "a *** b"),
        (PEM[:40], "***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("basic dXNlcjpwYXNz", "basic ***"),
        ("Api-Key abc", "Api-Key ***"),
        ("postgres://user:pass@db/name", "postgres://***@db/name"),
        ("see https://token@host/x and http://a/b@c", "see https://***@host/x and http://a/b@c"),
        (f"sig1=:{SIGNATURE}:", "sig1=:***:"),
        (f"v1,{SIGNATURE}", "v1,***"),
        (f"of V1A,{SIGNATURE}", "of V1A,***"),
        ("sha256=" + "0a" * 32, "sha256=***"),
        ("basic", "basic"),
        ("a@b", "a@b"),
    ],
)
def test_shapes_of_secrets(text, masked):
    assert masked_text(text) == masked
    assert masked_document({"a": [text]}) == {"a": [masked]}


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("login password=hunter2 ok", "login password=*** ok"),
        ("{'client_secret': 'a b', 'x': 1}", "{'client_secret': ***, 'x': 1}"),
        ('{"api_key": "a\\"b", "x": 1}', '{"api_key": ***, "x": 1}'),
        ("the key of the door", "the key of the door"),
        (f"GET /?token=t&k={API_KEY}", "GET /?token=***&k=***"),
        ("nothing", "nothing"),
    ],
)
def test_lines_of_a_log(line, masked):
    assert masked_line(line) == masked


@pytest.mark.parametrize(
    ("document", "masked"),
    [
        (
            {"password": "p", "Api-Key": {"a": 1}, "pin": 7},
            {"password": "***", "Api-Key": "***", "pin": "***"},
        ),
        ({"signed": True, "token": None, "secret": False}, {"signed": True, "token": None, "secret": False}),
        ({"key_id": 7, "token_type": "b", "keys_at": 1}, {"key_id": 7, "token_type": "b", "keys_at": 1}),
        (
            [{"path": "a.secret", "before": 1, "after": 2}],
            [{"path": "a.secret", "before": "***", "after": "***"}],
        ),
        ([{"path": "/x", "token": "t"}], [{"path": "/x", "token": "***"}]),
        ({f"x {API_KEY}": 1}, {"x ***": 1}),
        (({"a": ("b", 1.5)},), [{"a": ["b", 1.5]}]),
        (7, 7),
    ],
)
def test_documents(document, masked):
    assert masked_document(document) == masked


def test_what_is_nested_too_deep_is_masked_whole():
    document: Any = "secret"
    for _ in range(DEPTH + 5):
        document = [document]
    masked = masked_document(document)
    for _ in range(DEPTH):
        (masked,) = masked
    assert masked == "***"


SECRET = "Kk3vZ0-_xUO1mXGkqYwB7n5eTz9RjLdC2aFhVsPiQt8"
ENCODED = "".join(f"%{ord(sign):02X}" for sign in SECRET)
ZERO_WIDTH = "\u200b".join(SECRET)
TOLD = [
    pytest.param(SECRET, id="its-secret-part-alone"),
    pytest.param(f"a1B2c3D4_{SECRET}", id="without-md_"),
    pytest.param(f"md%255Fa1B2c3D4%255F{SECRET}", id="encoded-twice"),
    pytest.param(quote(quote(ENCODED)), id="encoded-three-times"),
    pytest.param(f"%256D%2564_a1B2c3D4_{'x' * 43}", id="letters-encoded-twice"),
    pytest.param(f"a1B2c3D4_{SECRET}".replace("_", "%5F").replace("-", "%2D"), id="signs-encoded"),
    pytest.param(SECRET.replace("3", "%33"), id="a-digit-encoded"),
    pytest.param(quote(f"m\u200bd_a1B2c3D4_{'x' * 43}"), id="zero-width-space"),
    pytest.param(quote(f"md_\ufeffa1B2c3D4_{ZERO_WIDTH}"), id="zero-width-spaces"),
    pytest.param(quote("\u00ad".join(SECRET)), id="soft-hyphens"),
]


@pytest.mark.parametrize("sent", TOLD)
def test_a_key_is_masked_in_whatever_dress_it_came(sent):
    assert masked_query(f"x={sent}&symbol=A") == "x=***&symbol=A"
    assert masked_query(f"symbol=A;{sent}") == "symbol=A;***"
    assert masked_query(f"{sent}=1") == "***"
    # A server decodes a path once.
    assert masked_path(f"/v1/{unquote(sent)}/x") == "/v1/***/x"
    assert masked_document({"name": unquote(sent)}) == {"name": "***"}


@pytest.mark.parametrize("text", [SECRET, f"a1B2c3D4_{SECRET}", f"key {SECRET}.", f"a.{SECRET}/b"])
def test_a_bare_secret_is_masked_in_any_text(text):
    assert SECRET not in masked_text(text)
    assert SECRET not in masked_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 43,
        "test_a_function_whose_name_is_43_letters_xx",
        "0123456789abcdef" * 4,
        "0b5c" * 8,
        SECRET[:42],
        f"{SECRET}abc",
        "/api/v1/market-data/options/AAPL250117C00150000/greeks",
        "/api/v1/stats/\u00e9/100%25",
    ],
)
def test_what_has_another_length_or_one_case_is_no_secret_part(text):
    assert masked_text(text) == text
    assert masked_path(text) == text
    assert masked_query(text) == text


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("callback=https://x/y?token=abc", "callback=***"),
        ("callback=https%3A%2F%2Fx%2Fy%3Ftoken%3Dabc&a=1", "callback=***&a=1"),
        ('filter={"password":"hunter2"}', "filter=***"),
        ("filter=%7B%22password%22%3A%22hunter2%22%7D", "filter=***"),
        ("q=%2574oken%253Dabc", "q=***"),
        ("caller=key:12&subject=key%3A12", "caller=key:12&subject=key%3A12"),
    ],
)
def test_what_a_value_assigns_to_a_secrets_name_is_masked(query, masked):
    assert masked_query(query) == masked


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ('{"password": "hunter2", "a": 1}', '{"password": ***, "a": 1}'),
        (r'{"a": "{\"password\": \"hunter2\"}"}', r'{"a": "{\"password\": ***}"}'),
        (r'"{\\\"password\\\": \\\"hunter2\\\"}"', r'"{\\\"password\\\": ***}"'),
        ('{"password": "hunt', '{"password": ***'),
        ("{'api_secret': 'a', 'b': 2}", "{'api_secret': ***, 'b': 2}"),
        ("https://host/x?a=1&token=abc&b=2", "https://host/x?a=1&token=***&b=2"),
        ("https%3A%2F%2Fhost%3Ftoken%3Dabc", "***"),
        ("key:12", "key:12"),
        ("the key: of key:12 and user:7", "the key: of key:12 and user:7"),
    ],
)
def test_what_a_text_within_a_document_assigns_to_a_secrets_name_is_masked(value, masked):
    assert masked_document({"note": [value]}) == {"note": [masked]}


@pytest.mark.parametrize("name", ["pass\u00adword", "p%61ssword", "api\u200b_\u200bkey"])
def test_a_secrets_name_is_known_in_whatever_dress(name):
    assert masked_document({name: "hunter2"}) == {name: "***"}


@pytest.mark.parametrize(
    ("path", "masked"),
    [
        ("/api/v1/x/token=abc", "/api/v1/x/token=***"),
        ("/api/v1/x;api_key=abc", "/api/v1/x;api_key=***"),
        ("/api/v1/x%3Ftoken%3Dabc/y", "/api/v1/***/y"),
        ("/api/v1/market-data/futures/ES=F/ohlcv", "/api/v1/market-data/futures/ES=F/ohlcv"),
    ],
)
def test_what_a_path_assigns_to_a_secrets_name_is_masked(path, masked):
    assert masked_path(path) == masked


@pytest.mark.parametrize(
    "text", ["key-" * 4000, "a-" * 8000 + "key", "a+" * 8000 + "@", "\\" * 16_000 + "key", '\\"key' * 3000]
)
@pytest.mark.parametrize(
    "masked", [masked_line, masked_query, masked_path, lambda text: masked_document([text])]
)
def test_long_texts_that_assign_nothing_end_soon(text, masked):
    """Each of them would take minutes where a word is looked at from each of its places."""
    masked(f"{text} =")
