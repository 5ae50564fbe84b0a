"""`manage.py oauthclient`, by which operators make, list and withdraw clients."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import AuditRecord
from ratelimit.models import OAuthClient
from tests.ratelimit.credentials.programs.test_oauth2 import GRANT, basic, post

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("oauthclient", *arguments, stdout=out)
    return out.getvalue()


def made(*arguments: str):
    return json.loads(run("create", "desk", *arguments, "--json"))


def test_create_shows_a_secret_that_works_and_is_not_shown_again():
    told = made("--scope", "market:read", "--network", "10.0.0.0/8", "--tier", "premium")
    assert (told["name"], told["tier"], told["networks"]) == ("desk", "premium", ["10.0.0.0/8"])
    credentials = basic(told["client_id"], told["client_secret"])
    assert post("token", GRANT, credentials).status_code == 200
    stored = OAuthClient.objects.get()
    assert stored.client_secret not in run("list", "--json") + run("list")
    assert told["client_secret"] not in run("list", "--json") + run("list")
    assert (stored.client_type, stored.authorization_grant_type) == ("confidential", "client-credentials")


def test_create_for_a_person_says_that_the_secret_is_shown_once():
    told = run("create", "desk")
    assert "shown only now" in told
    assert OAuthClient.objects.get().client_id in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", ""],
        ["create", "desk", "--expires", "tomorrow"],
        ["revoke", "unknown"],
        ["revoke", "7"],
        ["revoke", "9" * 30],
        ["rotate", "unknown"],
        [],
    ],
)
def test_wrong_arguments_are_refused_and_change_nothing(arguments):
    with pytest.raises(CommandError):
        run(*arguments)
    assert not OAuthClient.objects.exists()


def test_a_client_has_the_grants_of_the_options():
    options = (
        "--daily-quota 5 --monthly-quota none --scope all --rate 3 --trading-rate 2 --expires 2099-01-01"
    )
    expected = {
        "daily_quota": 5,
        "monthly_quota": None,
        "accounts": ["*"],
        "sensitivity": "confidential",
        "rate": 3,
        "trading_rate": 2,
        "expires_at": "2099-01-01T00:00:00Z",
    }
    client = made(*options.split())
    assert {name: client[name] for name in expected} == expected


@pytest.mark.parametrize("field", ["id", "client_id"])
def test_revoke_withdraws_by_either_name_and_the_list_says_so(field):
    told = made()
    assert "is revoked" in run("revoke", str(told[field]))
    assert json.loads(run("revoke", str(told[field]), "--json"))["state"] == "revoked"
    assert "revoked" in run("list")


@pytest.mark.parametrize("field", ["id", "client_id"])
def test_rotate_shows_a_new_secret_and_the_end_of_the_old_one(field):
    told = made()
    rotated = json.loads(run("rotate", str(told[field]), "--overlap", "2h", "--json"))
    for secret in (told["client_secret"], rotated["client_secret"]):
        assert post("token", GRANT, basic(told["client_id"], secret)).status_code == 200
    with pytest.raises(CommandError, match=f"valid until {rotated['old_secret_expires_at']}"):
        run("rotate", str(told[field]))
    assert "The old secret is valid no longer" in run("rotate", str(told[field]), "--overlap", "0")
    assert rotated["client_secret"] not in run("list", "--json")


def test_an_overlap_is_a_duration_of_at_most_30_days():
    told = made()
    for overlap in ("soon", "31d"):
        with pytest.raises(CommandError):
            run("rotate", told["client_id"], "--overlap", overlap)
    assert OAuthClient.objects.get().old_secret == ""


def test_the_list_tells_the_state_of_each():
    made()
    made("--expires", "2099-01-01")
    OAuthClient.objects.filter(expires_at=None).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert [row["state"] for row in json.loads(run("list", "--json"))] == ["expired", "active"]


def test_each_change_leaves_one_record_without_the_secret():
    told = made()
    for _ in range(2):
        run("revoke", told["client_id"])
    records = list(AuditRecord.objects.order_by("sequence").values())
    assert len(records) == 2
    assert "client.created" in repr(records[0])
    assert "client.revoked" in repr(records[1])
    assert told["client_secret"] not in repr(records)
    assert OAuthClient.objects.get().client_secret not in repr(records)
