import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit.access.scopes import SCOPES, expand_scopes
from ratelimit.entitlements import TIERS, tier_named
from ratelimit.exceptions import (
    AmbiguousCredentials,
    InvalidApiKey,
    UnknownScope,
    UnknownTier,
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


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [
        ("Api-Key", None),
        (None, ""),
        (None, KEY + "\n"),
        (None, KEY.replace("abcdefgh", "1bcdefgh")),
        (None, "md_abcdefgh_short"),
        (None, "md_abcdefgh_" + "é" * 43),
        (None, KEY + "s" * 1000),
    ],
    ids=[
        "no key",
        "empty",
        "line end",
        "digit first",
        "short",
        "not ASCII",
        "long",
    ],
)
def test_a_malformed_presentation_is_invalid(authorization, x_api_key):
    with pytest.raises(InvalidApiKey):
        key_in_headers(authorization=authorization, x_api_key=x_api_key)


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [
        (f"Api-Key {KEY}", OTHER),
        (f"Api-Key {KEY}", ""),
        (None, f"{KEY},{OTHER}"),
        (None, f"{KEY}, {KEY}"),
        (None, ","),
    ],
)
def test_several_keys_are_ambiguous(authorization, x_api_key):
    with pytest.raises(AmbiguousCredentials):
        key_in_headers(authorization=authorization, x_api_key=x_api_key)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_text_raises_anything_but_invalid(text):
    try:
        assert key_in_headers(authorization=f"Api-Key {text}", x_api_key=None) == text.strip()
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
    with pytest.raises(UnknownTier, match="default, premium, internal"):
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
    with pytest.raises(UnknownScope, match=r"'market:\*'.*market:read"):
        expand_scopes(["market:read", "market:*"])
