"""Client certificates that a proxy has verified: which header is one, and which key it stands for."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from ratelimit.credentials.identify import MAX_HEADER_LENGTH, caller_of_certificate
from ratelimit.exceptions import CredentialError
from ratelimit.keys.api_keys import digest
from ratelimit.keys.selectors import key_cache
from ratelimit.keys.services import key_revoke
from ratelimit.models import ApiKey
from tests.api_client import make_key
from tests.received_calls import received
from tests.system.certificates import Authority, Issued
from web.requests.received import ReceivedCall

NOW = timezone.now()


@pytest.fixture(scope="module")
def issued() -> Issued:
    return Authority("clients").issue("one of them")


@pytest.fixture
def stored(db, issued) -> ApiKey:
    key = ApiKey.objects.get(digest=digest(make_key()))
    key.certificate = issued.fingerprint
    key.save()
    return key


def escaped(issued: Issued) -> str:
    """As nginx writes $ssl_client_escaped_cert."""
    return quote(issued.pem.decode(), safe="")


def call_with(certificate: str | None, *, verify: str | None = "SUCCESS") -> ReceivedCall:
    given = {"x-ssl-client-verify": verify, "x-ssl-client-cert": certificate}
    headers = {name: value for name, value in given.items() if value is not None}
    return received(headers)


def refusal(request: ReceivedCall) -> str:
    with pytest.raises(CredentialError) as caught:
        caller_of_certificate(request, now=NOW)
    return caught.value.code


def test_a_certificate_is_its_key(stored, issued):
    caller = caller_of_certificate(call_with(escaped(issued)), now=NOW)
    assert (caller.identity, caller.credential) == (f"key:{stored.pk}", "certificate")


@pytest.mark.parametrize(
    "verify", [None, "", "NONE", "success", "SUCCESS,NONE", "SUCCESS ", "FAILED:expired"]
)
def test_only_a_verified_certificate_counts(stored, issued, verify):
    assert refusal(call_with(escaped(issued), verify=verify)) == "invalid_certificate"


def test_a_malformed_certificate_is_refused(stored, issued):
    pem = issued.pem.decode()
    for wrong in (
        None,
        "",
        "%",
        "%FF%FE",
        "é",
        "-----BEGIN",
        quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        quote(pem.replace("CERTIFICATE", "PUBLIC KEY")),
        quote(pem[: len(pem) // 2]),
        quote(issued.key_pem.decode()),
        "x" * (MAX_HEADER_LENGTH + 1),
        escaped(issued) + " " * MAX_HEADER_LENGTH,
    ):
        assert refusal(call_with(wrong)) == "invalid_certificate", wrong


def test_a_certificate_of_no_key_is_refused(stored):
    another = Authority("clients").issue("one of them")
    assert refusal(call_with(escaped(another))) == "invalid_certificate"


def test_a_key_that_holds_no_more_is_refused(stored, issued):
    ApiKey.objects.filter(pk=stored.pk).update(expires_at=NOW - timedelta(seconds=1))
    assert refusal(call_with(escaped(issued))) == "expired_api_key"
    key_cache.clear()
    key_revoke(key=stored, now=NOW, actor="test")
    assert refusal(call_with(escaped(issued))) == "revoked_api_key"
