import hashlib
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit.access.scopes import SCOPES, expand_scopes
from ratelimit.entitlements import TIERS, tier_named
from ratelimit.exceptions import (
    AmbiguousCredentials,
    InvalidApiKey,
    InvalidKeyRequest,
)
from ratelimit.keys.api_keys import digest, generate, is_well_formed, key_in_headers
from ratelimit.limits.token_bucket import burst_of

KEY = "md_abcdefgh_" + "s" * 43
OTHER = "md_abcdefgh_" + "t" * 43


def test_a_generated_key_is_well_formed_and_carries_its_prefix_and_digest():
    new = generate()
    assert is_well_formed(new.key)
    assert new.key.split("_")[1] == new.prefix
    assert new.digest == hashlib.sha256(new.key.encode()).hexdigest() == digest(new.key)
    assert new.prefix[0].isalpha()


def test_generated_keys_differ():
    assert len({generate().key for _ in range(100)}) == 100


def basic(key_id: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{key_id}:{secret}".encode()).decode()}


REST = KEY.removeprefix("md_abcdefgh_")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"api-key {KEY}"},
        {"x-api-key": KEY},
        {"apca-api-key-id": KEY, "apca-api-secret-key": "anything"},
        {"apca-api-key-id": KEY},
        {"apca-api-key-id": "md_abcdefgh", "apca-api-secret-key": REST},
        {"apca-api-key-id": "abcdefgh", "apca-api-secret-key": REST},
        {"apca-api-key-id": "abcdefgh", "apca-api-secret-key": REST, "x-api-key": KEY},
        basic(KEY, "anything"),
        basic("anybody", KEY),
        basic("md_abcdefgh", REST),
        basic("abcdefgh", REST),
    ],
    ids=str,
)
def test_a_key_is_found_in_each_header(headers):
    assert key_in_headers(headers) == KEY


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Api-Key"},
        {"x-api-key": ""},
        {"x-api-key": KEY + "\n"},
        {"x-api-key": KEY.replace("abcdefgh", "1bcdefgh")},
        {"x-api-key": "md_abcdefgh_short"},
        {"x-api-key": "md_abcdefgh_" + "é" * 43},
        {"x-api-key": KEY + "s" * 1000},
        {"authorization": "Basic"},
        {"authorization": "Basic *"},
        {"authorization": "Basic " + b64encode(b"\xff").decode()},
        basic("", ""),
        basic("abcdefgh", ""),
        {"apca-api-key-id": "abcdefgh"},
        {"apca-api-key-id": "md_abcdefgh", "apca-api-secret-key": KEY + REST},
    ],
    ids=str,
)
def test_a_malformed_key_is_invalid(headers):
    with pytest.raises(InvalidApiKey):
        key_in_headers(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Api-Key {KEY}", "x-api-key": OTHER},
        {"authorization": f"Api-Key {KEY}", "x-api-key": ""},
        {"x-api-key": f"{KEY},{OTHER}"},
        {"x-api-key": f"{KEY}, {KEY}"},
        {"x-api-key": ","},
        {"apca-api-key-id": KEY, "x-api-key": OTHER},
        {"apca-api-key-id": f"{KEY},{KEY}"},
        basic(KEY, "") | {"apca-api-key-id": OTHER},
    ],
    ids=str,
)
def test_several_keys_are_ambiguous(headers):
    with pytest.raises(AmbiguousCredentials):
        key_in_headers(headers)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_text_raises_anything_but_invalid(text):
    try:
        assert key_in_headers({"authorization": f"Api-Key {text}"}) == text.strip()
    except (AmbiguousCredentials, InvalidApiKey):
        assert not is_well_formed(text.strip())


def test_tiers_and_bursts_are_as_promised():
    assert {name: tier.rate for name, tier in TIERS.items()} == {
        "default": 10,
        "premium": 100,
        "internal": 1000,
    }
    assert burst_of(10) == 20


def test_an_unknown_tier_is_refused_with_the_known_ones():
    with pytest.raises(InvalidKeyRequest, match="default, premium, internal"):
        tier_named("gold")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["all"], SCOPES),
        (["market:read", "all"], SCOPES),
        (["market:write", "market:read", "market:read"], ("market:read", "market:write")),
        ([], ()),
    ],
    ids=["all", "all and one", "ordered and once", "none"],
)
def test_scopes_are_expanded(names, expected):
    assert expand_scopes(names) == expected


def test_an_unknown_scope_is_refused_with_the_known_ones():
    with pytest.raises(InvalidKeyRequest, match=r"'market:\*'.*market:read"):
        expand_scopes(["market:read", "market:*"])
