"""The page of signatures: its program signs, and what it says is what the program has."""

import re
from typing import Any

import pytest
import requests
from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone

from ratelimit.credentials.signed_requests import (
    AHEAD_SECONDS,
    MAX_HEADER_LENGTH,
    NONCE_LENGTHS,
)
from ratelimit.exceptions import DigestMismatch
from tests.api_client import make_key
from tests.front.front_server import running
from tests.ratelimit.credentials.signatures.signing import Arrived, caller_signed, prefix_of, secret_of
from web.requests.received import call_in

PAGE = (settings.BASE_DIR / "docs" / "signatures.md").read_text()
PROGRAM = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]


def run(program: str, **names: Any) -> requests.Response:
    """The answer that the program gets."""
    exec(compile(program, "signatures.md", "exec"), names)
    answer: requests.Response = names["answer"]
    return answer


@pytest.fixture
def arrivals() -> list[Arrived]:
    return []


@pytest.fixture
def url(arrivals):
    """Of a front that keeps what arrives."""

    def respond(environ):
        body = environ["wsgi.input"].read()
        arrivals.append(Arrived(call_in(environ), body))
        return HttpResponse(b"")

    with running(respond) as port:
        yield f"http://127.0.0.1:{port}/v1/trades/ingest?unknown=ignore"


def test_the_program_of_the_page_signs(db, url, arrivals):
    key = make_key()
    names = {"key_id": prefix_of(key), "signing_secret": secret_of(key), "url": url, "batch": {"trades": []}}
    assert run(PROGRAM, **names).status_code == 200
    assert caller_signed(arrivals[0], now=timezone.now()).credential == "signature"


def test_the_program_without_the_body_that_is_sent_is_noticed(db, url, arrivals):
    key = make_key()
    broken = PROGRAM.replace("body=request.body", 'body=b"{}"')
    names = {"key_id": prefix_of(key), "signing_secret": secret_of(key), "url": url, "batch": {"trades": []}}
    run(broken, **names)
    with pytest.raises(DigestMismatch):
        caller_signed(arrivals[0], now=timezone.now())


def test_the_figures_of_the_page_are_those_of_the_program():
    assert f"at most {settings.SIGNATURE_WINDOW_SECONDS} s ago" in PAGE
    assert f"{AHEAD_SECONDS} s ahead" in PAGE
    assert f"{NONCE_LENGTHS.start} to {NONCE_LENGTHS.stop - 1} characters" in PAGE
    assert f"{MAX_HEADER_LENGTH:,} characters" in PAGE
