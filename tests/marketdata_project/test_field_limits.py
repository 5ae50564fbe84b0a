"""Queries and forms of more fields than anybody has use for, and files where none is taken."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.api_client import OHLC, Api, problem

MOST = 1000
TOO_MANY = (400, "too_many_parameters")
FORMS = ["/login", "/logout"]


def test_a_query_has_a_thousand_fields_at_most(api: Api):
    for path in (OHLC, "/api/v1/instruments"):
        assert problem(api.get(f"{path}?{'&'.join(['a=1'] * (MOST + 1))}")) == TOO_MANY
        assert problem(api.get(f"{path}?{'&'.join(['a=1'] * MOST)}")) != TOO_MANY


@pytest.mark.parametrize("path", FORMS)
def test_a_form_has_a_thousand_fields_at_most(db, path: str):
    text = "&".join(f"a{number}=1" for number in range(MOST + 1))
    response = Client().post(path, text, content_type="application/x-www-form-urlencoded")
    assert problem(response) == TOO_MANY


@pytest.mark.parametrize("path", FORMS)
def test_a_form_in_parts_is_too_large_before(db, path: str):
    fields = {f"a{number}": "1" for number in range(MOST + 1)}
    assert problem(Client().post(path, fields)) == (413, "body_too_large")


@pytest.mark.parametrize("path", FORMS)
def test_no_form_takes_a_file(db, path: str):
    response = Client().post(path, {"username": SimpleUploadedFile("a", b"a" * 10)})
    assert problem(response) == TOO_MANY


def test_a_form_of_an_endpoint_is_bounded_too(api: Api):
    text = "&".join(["grant_type=client_credentials", *(f"a{number}=1" for number in range(MOST))])
    response = api.call(
        "POST", "/api/v1/oauth/token", text.encode(), content_type="application/x-www-form-urlencoded"
    )
    assert problem(response) == TOO_MANY
