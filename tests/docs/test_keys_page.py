"""The page on keys: its calls and its commands work, and its table is what a key may be asked to be."""

import itertools
import re
import shlex
from io import StringIO

import orjson
import pytest
from django.conf import settings
from django.core.management import call_command

from ratelimit.keys.serializers import NewKeySerializer
from ratelimit.models import ApiKey
from tests.api_client import answer

PAGE = (settings.BASE_DIR / "docs" / "keys.md").read_text()
CALLS, COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def options_of(words: list[str], name: str) -> list[str]:
    return [value for option, value in itertools.pairwise(words) if option == name]


def test_the_calls_make_find_rotate_and_revoke_a_key(api, project_redis):
    told: list[tuple[str, int]] = []
    made = 0
    for line in CALLS.replace("\\\n", " ").strip().splitlines():
        words = shlex.split(line.replace("$ID", str(made)))
        method = (options_of(words, "-X") or ["GET"])[0]
        body = "".join(options_of(words, "-d")).encode()
        url = next(word for word in words if word.startswith("$URL"))
        headers = dict(header.split(": ") for header in options_of(words, "-H"))
        headers.pop("X-API-Key")
        headers.pop("Content-Type", None)
        response = api.call(
            method, url.removeprefix("$URL"), body, **{name.lower(): value for name, value in headers.items()}
        )
        told.append((method, response.status_code))
        made = made or answer(response)["id"]
    assert told == [
        ("POST", 201),
        ("GET", 200),
        ("GET", 200),
        ("POST", 201),
        ("DELETE", 200),
        ("DELETE", 200),
    ]


@pytest.mark.django_db
def test_the_commands_work():
    prefix = ""
    for line in COMMANDS.strip().splitlines():
        _, *words = shlex.split(line.replace("PREFIX", prefix))
        out = StringIO()
        call_command(*words, stdout=out)
        if "--json" in words:
            assert orjson.loads(out.getvalue()) is not None
        prefix = ApiKey.objects.latest("pk").prefix
    assert ApiKey.objects.count() == 2


def test_the_table_has_each_field_of_a_new_key():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(listed) == sorted(NewKeySerializer().fields)
