"""The page of credentials says what is so: its calls are made as printed, one after the other."""

import base64
import re
import shlex
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client

from marketdata_project.error_codes import ERROR_CODES
from ratelimit.models import ApiKey
from tests.api_client import answer, make_key
from tests.ratelimit.credentials.logins import person

pytestmark = pytest.mark.django_db
TEXT = (settings.BASE_DIR / "docs" / "credentials.md").read_text()
FORM = "application/x-www-form-urlencoded"


def calls() -> list[str]:
    return re.findall(r"^curl .*$", TEXT, re.MULTILINE)


def answers() -> list[str]:
    return re.findall(r"^\{.*\}$", TEXT, re.MULTILINE)


def made(line: str, known: dict[str, str]) -> Any:
    """The answer to a call of curl, with the variables of the shell as they are `known`."""
    expanded = re.sub(r"\$([A-Z_]+)", lambda found: known[found[1]], line)
    words = iter(shlex.split(expanded)[1:])
    path, method, headers, data = "", "", {}, []
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            data.append(next(words))
        elif word == "-u":
            headers["Authorization"] = f"Basic {base64.b64encode(next(words).encode()).decode()}"
        elif word == "-X":
            method = next(words)
        elif word != "-s":
            path = urlsplit(word).path
    content_type = headers.pop("Content-Type", FORM)
    body = "&".join(data)
    return Client().generic(method or ("POST" if data else "GET"), path, body, content_type, headers=headers)


def test_the_calls_of_the_page_answer_as_printed():
    person("ada", scopes=["market:read"])
    known = {"KEY": make_key(scopes=("market:read",))}
    known["CLIENT_ID"] = ApiKey.objects.get().prefix
    statuses, printed = [], []
    for line in calls():
        response = made(line, known)
        statuses.append(response.status_code)
        if response.content and response.status_code == 200:
            told = answer(response)
            names = {"access": "ACCESS", "refresh": "REFRESH", "access_token": "TOKEN"}
            known.update({names[name]: value for name, value in told.items() if name in names})
            if set(told) & set(names):
                printed.append(response.content.decode())
    assert statuses == [200, 200, 200, 204, 200, 200, 200, 200]
    for text, body in zip(answers(), [printed[0], printed[3]], strict=True):
        assert re.fullmatch(re.escape(text).replace("…", '[^"]+'), body)


def test_the_codes_of_the_page_are_declared():
    declared = {(error.status, error.code) for error in ERROR_CODES}
    named = {(int(status), code) for status, code in re.findall(r"(40[13]) `(\w+)`", TEXT)}
    assert len(named) == 7
    assert named <= declared
