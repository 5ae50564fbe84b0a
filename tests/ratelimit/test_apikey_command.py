import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ratelimit.api_keys import Caller
from ratelimit.models import ApiKey
from ratelimit.selectors import caller_for

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("apikey", *arguments, stdout=out)
    return out.getvalue()


def bearer(key: str) -> Caller:
    caller = caller_for(key, now=timezone.now())
    assert caller is not None
    return caller


def test_create_as_json_prints_a_working_key_and_nothing_else():
    told = json.loads(run("create", "feed", "--tier", "internal", "--scope", "all", "--json"))
    assert sorted(told) == ["expires_at", "id", "key", "name", "prefix", "rate", "scopes", "tier"]
    assert (told["name"], told["tier"], told["rate"], told["expires_at"]) == ("feed", "internal", 1000, None)
    assert bearer(told["key"]).identity == f"key:{told['id']}"


def test_create_takes_scopes_a_rate_and_an_expiry():
    arguments = ["--scope", "market:write", "--scope", "market:read", "--rate", "5"]
    told = json.loads(run("create", "feed", *arguments, "--expires", "2099-01-02T03:04:05", "--json"))
    assert told["scopes"] == ["market:read", "market:write"]
    assert (told["rate"], told["expires_at"]) == (5, "2099-01-02T03:04:05Z")


def test_create_for_a_person_says_that_the_key_is_shown_once():
    out = run("create", "feed")
    assert "only time" in out
    assert bearer(out.splitlines()[0]).scopes == {"market:read"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "feed", "--tier", "gold"],
        ["create", "feed", "--scope", "everything"],
        ["create", "feed", "--rate", "0"],
        ["create", "feed", "--rate", "many"],
        ["create", "feed", "--expires", "tomorrow"],
        ["create", "feed", "--expires", "2001-01-01"],
        ["create", ""],
        ["create"],
        [],
        ["revoke", "zzzzzzzz"],
    ],
    ids=" ".join,
)
def test_bad_input_is_a_clear_error_and_changes_nothing(arguments):
    with pytest.raises(CommandError):
        run(*arguments)
    assert not ApiKey.objects.exists()


def test_list_shows_every_key_without_its_secret():
    created = json.loads(run("create", "feed", "--json"))
    run("create", "old", "--json")
    run("create", "spent", "--json")
    ApiKey.objects.filter(name="old").update(expires_at=timezone.now())
    ApiKey.objects.filter(name="spent").update(revoked_at=timezone.now())
    rows = json.loads(run("list", "--json"))
    assert [(row["name"], row["state"]) for row in rows] == [
        ("feed", "active"),
        ("old", "expired"),
        ("spent", "revoked"),
    ]
    text = run("list")
    assert created["prefix"] in text
    assert created["key"] not in text + json.dumps(rows)
    assert "digest" not in rows[0]


def test_revoke_withdraws_a_key_named_by_prefix_or_id():
    for field in ("prefix", "id"):
        created = json.loads(run("create", "feed", "--json"))
        assert created["prefix"] in run("revoke", str(created[field]))
        assert ApiKey.objects.get(pk=created["id"]).revoked_at is not None
