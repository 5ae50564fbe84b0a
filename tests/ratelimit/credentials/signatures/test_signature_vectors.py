"""The RFC's own vector of hmac-sha256, and what no client would send, through the calls that requests go through."""

from base64 import b64decode
from datetime import UTC, datetime

import pytest
from http_message_signatures import ContentDigest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.credentials.signed_requests import SigningKeys, check_headers_covered, verified
from ratelimit.exceptions import InvalidSignature, SignatureExpired
from web.requests.received import ReceivedCall

# RFC 9421, B.1.5, B.2 and B.2.5.
SHARED_SECRET = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
VECTOR = ReceivedCall(
    method="POST",
    scheme="https",
    host="example.com",
    path="/foo",
    target="/foo",
    query="param=Value&Pet=dog",
    address="192.0.2.1",
    headers={
        "host": "example.com",
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        "content-length": "18",
        "signature-input": 'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
        "signature": "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    },
)
VECTOR_BODY = b'{"hello": "world"}'
VECTOR_TIME = datetime.fromtimestamp(1618884473, UTC)


class VectorKeys(SigningKeys):
    """The RFC's secret, under its name."""

    def resolve_public_key(self, key_id: str) -> SigningKeys:
        if key_id == "test-shared-secret":
            self.secrets = {b64decode(SHARED_SECRET): "its digest"}
        return self


def test_the_vector_of_the_rfc_verifies():
    result = verified(VECTOR, key_resolver=VectorKeys(), now=VECTOR_TIME)
    assert result.parameters == {"created": 1618884473, "keyid": "test-shared-secret"}
    assert list(result.covered_components)[:-1] == ['"date"', '"@authority"', '"content-type"']
    ContentDigest.verify(VECTOR.headers["content-digest"], VECTOR_BODY)


def test_the_vector_is_not_enough_here():
    result = verified(VECTOR, key_resolver=VectorKeys(), now=VECTOR_TIME)
    with pytest.raises(InvalidSignature, match="@method"):
        check_headers_covered(VECTOR, result)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "example.org"),
        ("signature", "sig-b25=:qxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"),
    ],
)
def test_the_vector_changed_does_not_verify(name, value):
    headers = {**VECTOR.headers, name: value}
    changed = VECTOR._replace(host=headers["host"], headers=headers)
    with pytest.raises(InvalidSignature):
        verified(changed, key_resolver=VectorKeys(), now=VECTOR_TIME)


@given(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.text(st.characters(max_codepoint=255), max_size=60),
)
def test_whatever_the_headers_say_it_is_refused(given_input, given_signature):
    message = VECTOR._replace(headers={"signature-input": given_input, "signature": given_signature})
    with pytest.raises((InvalidSignature, SignatureExpired)):
        verified(message, key_resolver=VectorKeys(), now=VECTOR_TIME)
