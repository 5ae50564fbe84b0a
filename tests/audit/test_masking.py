"""Secrets never reach the audit log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.masking import masked_query, masked_text

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
