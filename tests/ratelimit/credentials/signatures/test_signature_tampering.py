"""Nothing of what a signature covers can be changed, and nothing that decides can be left uncovered."""

import re

import pytest
from django.utils import timezone
from http_message_signatures import ContentDigest

from ratelimit.exceptions import InvalidSignature
from ratelimit.models import UsedNonce
from tests.api_client import make_key
from tests.ratelimit.credentials.signatures.signing import (
    BODY,
    COVERED,
    HOST,
    IN_PARTS,
    PATH,
    QUERY,
    arrived,
    caller_signed,
    headers_for,
    refusal,
    request,
)


@pytest.fixture
def key(db) -> str:
    return make_key()


# What arrives instead of what was signed.
CHANGED = {
    "method": {"method": "PUT"},
    "scheme": {"scheme": "http"},
    "host": {"host": "other.example"},
    "port": {"host": f"{HOST}:8443"},
    "path": {"target": f"{PATH}/"},
    "case of the path": {"target": PATH.replace("trades", "Trades")},
    "encoding of the path": {"target": PATH.replace("t", "%74", 1)},
    "query": {"query": f"{QUERY}&y=1"},
    "no query": {"query": ""},
    "encoding of the query": {"query": QUERY.replace("%20", "+")},
    "a space in the path": {"target": f"{PATH} "},
    "no host": {"host": ""},
}


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        *((change, IN_PARTS) for change in CHANGED.values()),
        ({"query": ""}, COVERED),
        ({"method": "PUT"}, COVERED),
    ],
)
def test_a_changed_component_is_refused(key, change, covered):
    headers = headers_for(key, covered=covered)
    assert refusal(arrived(headers, **change)) == "invalid_signature"
    assert not UsedNonce.objects.exists()
    assert caller_signed(arrived(headers), now=timezone.now())


def other_sign(text: str) -> str:
    """The same text with another last sign of base64."""
    return text[:-1] + ("B" if text[-1] == "A" else "A")


# What is altered in the headers, and how that is refused.
ALTERED = {
    "created": ("Signature-Input", r"created=\d+", f"created={2**33}", "signature_expired"),
    "created by a second": (
        "Signature-Input",
        r"created=(\d+)",
        lambda found: f"created={int(found[1]) - 1}",
        "invalid_signature",
    ),
    "nonce": ("Signature-Input", r'nonce="..', 'nonce="00', "invalid_signature"),
    "keyid": ("Signature-Input", r'keyid="\w+"', 'keyid="Zunknown"', "invalid_signature"),
    "alg": ("Signature-Input", r'alg="[^"]+"', 'alg="ed25519"', "invalid_signature"),
    "no alg": ("Signature-Input", r';alg="[^"]+"', "", "invalid_signature"),
    "components": ("Signature-Input", r'"@method" ', "", "invalid_signature"),
    "their order": (
        "Signature-Input",
        r'"@method" "@target-uri"',
        '"@target-uri" "@method"',
        "invalid_signature",
    ),
    "another component": ("Signature-Input", r'"@method"', '"@method" "@path"', "invalid_signature"),
    "a component twice": ("Signature-Input", r'"@method"', '"@method" "@method"', "invalid_signature"),
    "a tag": ("Signature-Input", r"$", ';tag="x"', "invalid_signature"),
    "an unknown parameter": ("Signature-Input", r"$", ";x=1", "invalid_signature"),
    "the label of one": ("Signature", r"^\w+", "another", "invalid_signature"),
    "a sign": ("Signature", r"=:.", lambda found: other_sign(found[0]), "invalid_signature"),
    "cut off": ("Signature", r"=:....", "=:", "invalid_signature"),
    "empty": ("Signature", r":.*:", "::", "invalid_signature"),
    "no structured field": ("Signature-Input", r"^", "(((", "invalid_signature"),
    "not in a list": ("Signature-Input", r"=.*", "=1", "invalid_signature"),
    "no bytes": ("Signature", r":.*:", "1", "invalid_signature"),
    "digest": ("Content-Digest", r"=:.", lambda found: other_sign(found[0]), "invalid_signature"),
    "no ASCII": ("Signature-Input", r"keyid=\"", 'keyid="\u00e9', "invalid_signature"),
    "created as text": ("Signature-Input", r"created=(\d+)", r'created="\g<1>"', "invalid_signature"),
    "created as a fraction": ("Signature-Input", r"created=(\d+)", r"created=\g<1>.0", "invalid_signature"),
    "nonce as a number": ("Signature-Input", r'nonce="[^"]+"', "nonce=1", "invalid_signature"),
}


@pytest.mark.parametrize("case", ALTERED.values(), ids=ALTERED)
def test_an_altered_signature_is_refused(key, case):
    name, pattern, by, code = case
    headers = headers_for(key, nonce="n" * 16)
    before = headers[name]
    headers[name] = re.sub(pattern, by, before, count=1)
    assert headers[name] != before
    assert refusal(arrived(headers)) == code
    assert not UsedNonce.objects.exists()


@pytest.mark.parametrize(
    "dropped", ["Signature", "Signature-Input", "Content-Digest"], ids=lambda name: name.lower()
)
def test_a_missing_signature_header_is_refused(key, dropped):
    headers = headers_for(key)
    del headers[dropped]
    assert refusal(arrived(headers)) == "invalid_signature"


def test_another_body_is_refused(key):
    headers = headers_for(key)
    for body in (BODY + b" ", b"", BODY.replace(b"[", b"[1")):
        assert refusal(arrived(headers, body=body)) == "digest_mismatch"
    assert not UsedNonce.objects.exists()


@pytest.mark.parametrize(
    "covered", [(), ("@method",), ("@target-uri",), IN_PARTS[:-1], IN_PARTS[1:], ("@method", "@path")]
)
def test_a_signature_that_covers_too_little_is_refused(key, covered):
    assert refusal(request(key, covered=covered)) == "invalid_signature"


ADDED = {"Idempotency-Key": "order-2", "Content-Type": "text/csv"}


@pytest.mark.parametrize("name", ADDED)
def test_a_header_that_decides_cannot_be_added(key, name):
    headers = headers_for(key)
    with pytest.raises(InvalidSignature, match=f"does not cover {name.lower()}"):
        caller_signed(arrived({**headers, name: ADDED[name]}), now=timezone.now())
    assert not UsedNonce.objects.exists()
    assert caller_signed(arrived(headers), now=timezone.now())


@pytest.mark.parametrize("name", ADDED)
def test_a_header_that_decides_is_to_be_covered(key, name):
    sent = {name: ADDED[name]}
    assert refusal(request(key, covered=COVERED, headers=sent)) == "invalid_signature"
    assert (
        refusal(request(key, covered=(*COVERED, f'"{name.lower()}";bs'), headers=sent)) == "invalid_signature"
    )
    assert caller_signed(request(key, covered=(*COVERED, name.lower()), headers=sent), now=timezone.now())


@pytest.mark.parametrize("name", ADDED)
def test_a_header_that_is_covered_cannot_be_changed_or_left_out(key, name):
    headers = headers_for(key, headers={name: ADDED[name]})
    assert refusal(arrived({**headers, name: "another"})) == "invalid_signature"
    assert refusal(arrived({**headers, name: ""})) == "invalid_signature"
    del headers[name]
    assert refusal(arrived(headers)) == "invalid_signature"


@pytest.mark.parametrize(
    ("method", "body", "headers"),
    [
        ("POST", BODY, {}),
        ("POST", BODY, {"Content-Digest": ContentDigest.create(BODY)}),
        ("POST", b"", {}),
        ("PUT", b"", {}),
        ("GET", BODY, {}),
        ("DELETE", BODY, {}),
        ("GET", b"", {"Content-Digest": ContentDigest.create(b"")}),
    ],
)
def test_a_body_that_is_not_covered_is_refused(key, method, body, headers):
    made = headers_for(key, method=method, body=None, headers=headers)
    assert refusal(arrived(made, method=method, body=body)) == "invalid_signature"


@pytest.mark.parametrize(
    "digest_header", ["md5=:AAAA:", "sha-256=:AAAA:", "sha-256=1", "x", "", "sha-256=:AAAA:, sha-256=:AAAA:"]
)
def test_a_digest_of_another_kind_is_refused(key, digest_header):
    covered = (*COVERED, "content-digest")
    made = headers_for(key, body=None, covered=covered, headers={"Content-Digest": digest_header})
    assert refusal(arrived(made)) == "digest_mismatch"


def test_a_digest_that_is_covered_as_bytes_only_is_refused(key):
    covered = (*COVERED, '"content-digest";bs')
    made = headers_for(
        key, body=None, covered=covered, headers={"Content-Digest": ContentDigest.create(BODY)}
    )
    assert refusal(arrived(made)) == "invalid_signature"
