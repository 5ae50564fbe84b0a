"""Signed requests (RFC 9421): what is accepted, for how long, and of which keys."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from http_message_signatures import ContentDigest

from ratelimit.credentials.signed_requests import MAX_HEADER_LENGTH
from ratelimit.exceptions import CredentialError, InvalidSignature, NonceUsed
from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import key_cache, last_used
from ratelimit.keys.services import key_create, key_revoke, key_rotate
from ratelimit.models import ApiKey, UsedNonce
from tests.api_client import make_key
from tests.ratelimit.credentials.signatures.signing import (
    BODY,
    COVERED,
    IN_PARTS,
    arrived,
    caller_signed,
    headers_for,
    prefix_of,
    refusal,
    request,
    secret_of,
)


@pytest.fixture
def key(db) -> str:
    return make_key()


@pytest.mark.parametrize("covered", [COVERED, IN_PARTS, (*COVERED, "x-added", "@path")], ids=len)
@pytest.mark.parametrize("algorithm", [True, False], ids=["alg", "no alg"])
def test_a_signed_request_is_its_keys(key, covered, algorithm):
    headers = {"Content-Type": "application/json", "X-Added": "1"}
    caller = caller_signed(
        request(key, covered=(*covered, "content-type"), include_alg=algorithm, headers=headers),
        now=timezone.now(),
    )
    stored = ApiKey.objects.get(digest=digest(key))
    assert (caller.identity, caller.credential) == (f"key:{stored.pk}", "signature")
    assert UsedNonce.objects.filter(identity=caller.identity).count() == 1


def test_a_digest_by_sha_512_will_do(key):
    class LongDigest(ContentDigest):
        algorithm = "sha-512"

    headers = {"Content-Digest": LongDigest.create(BODY)}
    assert caller_signed(request(key, headers=headers, use_existing_digest=True), now=timezone.now())


def test_a_member_of_the_digest_will_do(key):
    covered = (*COVERED, '"content-digest";key="sha-256"')
    headers = {"Content-Digest": f"{ContentDigest.create(BODY)}"}
    sent = arrived(headers_for(key, body=None, covered=covered, headers=headers))
    assert caller_signed(sent, now=timezone.now())


def test_a_read_without_a_body_needs_no_digest(key):
    sent = arrived(headers_for(key, method="GET", body=None), method="GET", body=b"")
    assert caller_signed(sent, now=timezone.now()).credential == "signature"


def test_a_secret_of_a_former_secret_key_holds(key, settings):
    headers = headers_for(key)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one"
    assert secret_of(key) not in headers.values()
    assert caller_signed(arrived(headers), now=timezone.now())


@pytest.mark.parametrize("nonce", [None, "n" * 15, "n" * 129, " "])
def test_a_nonce_has_16_to_128_characters(key, nonce):
    assert refusal(request(key, nonce=nonce)) == "invalid_signature"


@pytest.mark.parametrize("nonce", ["n" * 16, "n" * 128])
def test_a_nonce_of_any_such_length_will_do(key, nonce):
    assert caller_signed(request(key, nonce=nonce), now=timezone.now())


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (-6, "signature_expired"),
        (-5, None),
        (0, None),
        (30, None),
        (31, "signature_expired"),
        (3600, "signature_expired"),
    ],
)
def test_a_signature_holds_for_its_window(key, offset, code):
    sent = request(key, age=0)
    created = re.search(r"created=(\d+)", sent.call.headers["signature-input"])
    assert created is not None
    now = datetime.fromtimestamp(int(created[1]) + offset, UTC)
    if code is None:
        assert caller_signed(sent, now=now)
    else:
        assert refusal(sent, now=now) == code


def test_the_window_is_a_setting(key, settings):
    settings.SIGNATURE_WINDOW_SECONDS = 60
    sent = request(key)
    assert caller_signed(sent, now=timezone.now() + timedelta(seconds=58))


def test_a_signature_that_says_when_it_expires_does(key):
    at = timezone.now() + timedelta(seconds=10)
    sent = request(key, expires=at)
    assert refusal(sent, now=at) == "signature_expired"
    assert caller_signed(sent, now=at - timedelta(seconds=2))


def test_a_signature_without_created_is_refused(key):
    headers = headers_for(key)
    headers["Signature-Input"] = re.sub(r";created=\d+", "", headers["Signature-Input"])
    with pytest.raises(InvalidSignature, match="created"):
        caller_signed(arrived(headers), now=timezone.now())


def test_two_signatures_are_refused(key):
    first = headers_for(key)
    options: dict[str, Any] = {"label": "second", "append_if_signature_exists": True}
    options["use_existing_digest"] = True
    assert refusal(arrived(headers_for(key, headers=first, **options))) == "invalid_signature"


def test_headers_without_end_are_refused_unread(key):
    headers = headers_for(key)
    headers["Signature-Input"] += f';tag="{"x" * MAX_HEADER_LENGTH}"'
    with pytest.raises(InvalidSignature, match="longer"):
        caller_signed(arrived(headers), now=timezone.now())


def test_the_key_itself_and_another_keys_secret_sign_nothing(key):
    other = make_key()
    for secret in (key, digest(key), prefix_of(key), secret_of(other), ""):
        assert refusal(request(key, secret=secret)) == "invalid_signature"
    assert refusal(request(key, key_id=key)) == "invalid_signature"


def test_an_unknown_key_gets_the_answer_of_a_wrong_secret(key):
    messages = set()
    for key_id, secret in (("Zunknown", secret_of(key)), (prefix_of(key), "wrong")):
        with pytest.raises(InvalidSignature) as caught:
            caller_signed(request(key, key_id=key_id, secret=secret), now=timezone.now())
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_the_stand_in_secret_authenticates_nobody(key, monkeypatch):
    monkeypatch.setattr("ratelimit.credentials.signed_requests.secrets.token_bytes", lambda _: b"guessed")
    assert refusal(request(key, key_id="Zunknown", secret="guessed")) == "invalid_signature"


def test_a_key_that_holds_no_more_signs_no_more(db):
    now = timezone.now()
    expiring = key_create(
        name="x",
        tier="internal",
        scopes=("all",),
        now=now,
        actor="test",
        expires_at=now + timedelta(seconds=1),
    )
    assert refusal(request(expiring.key), now=now + timedelta(seconds=2)) == "expired_api_key"
    revoked = make_key()
    key_revoke(key=ApiKey.objects.get(digest=digest(revoked)), now=now, actor="test")
    assert refusal(request(revoked)) == "revoked_api_key"
    assert not UsedNonce.objects.exists()


@pytest.mark.parametrize("overlap", [timedelta(0), timedelta(hours=1)])
def test_a_new_secret_signs_at_once_where_the_key_before_its_rotation_is_cached(key, overlap, monkeypatch):
    now, stored = timezone.now(), ApiKey.objects.get(digest=digest(key))
    caller_signed(request(key), now=now)
    monkeypatch.setattr(key_cache, "forget", lambda _: None)  # as if another process had rotated it
    rotated = key_rotate(key=stored, overlap=overlap, now=now, actor="test")
    assert caller_signed(request(rotated.key), now=timezone.now()).identity == f"key:{stored.pk}"


def test_a_key_that_only_signs_is_accepted_when_it_does(key):
    ApiKey.objects.filter(digest=digest(key)).update(signed_only=True)
    assert caller_signed(request(key), now=timezone.now())


def test_a_use_is_noted_only_of_a_signature_that_is_accepted(key, monkeypatch):
    noted: list[int] = []
    monkeypatch.setattr(last_used, "note", lambda key_id, at: noted.append(key_id))
    sent = request(key)
    wrong = arrived({**sent.call.headers, "signature": "sig=:AAAA:"})
    other_body = sent._replace(body=b"{}")
    for refused in (wrong, other_body):
        with pytest.raises(CredentialError):
            caller_signed(refused, now=timezone.now())
    assert noted == []
    caller_signed(sent, now=timezone.now())
    with pytest.raises(NonceUsed):
        caller_signed(sent, now=timezone.now())
    assert noted == [ApiKey.objects.get(digest=digest(key)).pk]
