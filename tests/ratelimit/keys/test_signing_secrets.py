import re

import pytest

from ratelimit.keys.api_keys import digest, signing_secret, signing_secrets

ONE, OTHER = digest("md_aaaaaaaa_" + "1" * 43), digest("md_aaaaaaaa_" + "2" * 43)


@pytest.fixture(autouse=True)
def _own_settings(settings):
    settings.SIGNING_SECRET = ""
    settings.SECRET_KEY = "first"
    settings.SECRET_KEY_FALLBACKS = []


def test_a_secret_is_the_same_every_time_and_another_for_each_key():
    assert signing_secret(ONE) == signing_secret(ONE)
    assert signing_secret(ONE) != signing_secret(OTHER)


def test_a_secret_has_256_bits_and_a_mark():
    assert re.fullmatch(r"mds_[A-Za-z0-9_-]{43}", signing_secret(ONE))


def test_a_former_secret_key_still_holds_while_it_is_a_fallback(settings):
    former = signing_secret(ONE)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert signing_secrets(ONE) == (signing_secret(ONE), former)
    assert signing_secret(ONE) != former
    settings.SECRET_KEY_FALLBACKS = []
    assert former not in signing_secrets(ONE)


def test_a_signing_secret_of_its_own_outlives_the_secret_key(settings):
    of_secret_key = signing_secret(ONE)
    settings.SIGNING_SECRET = "own"
    own = signing_secrets(ONE)
    settings.SECRET_KEY = "second"
    assert signing_secrets(ONE) == own
    assert of_secret_key not in own


def test_a_signing_secret_differs_from_one_derived_from_the_same_secret_key(settings):
    of_secret_key = signing_secret(ONE)
    settings.SIGNING_SECRET = "first"
    assert signing_secret(ONE) != of_secret_key
