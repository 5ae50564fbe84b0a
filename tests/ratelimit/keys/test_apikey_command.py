import hashlib
import json
import os
from datetime import timedelta
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID
from django.core.management import CommandError, call_command
from django.utils import timezone

from ratelimit.callers import Caller
from ratelimit.models import ApiKey
from tests.ratelimit.keys.key_callers import caller_by

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("apikey", *arguments, stdout=out)
    return out.getvalue()


def bearer(key: str) -> Caller:
    return caller_by(key, now=timezone.now())


def test_create_as_json_prints_a_working_key_and_nothing_else():
    told = json.loads(run("create", "feed", "--tier", "internal", "--scope", "all", "--json"))
    today = {"expires_at", "id", "key", "name", "prefix", "rate", "scopes", "tier"}
    assert today | {"signing_secret", "sensitivity", "accounts"} <= set(told)
    assert (told["name"], told["tier"], told["rate"], told["expires_at"]) == ("feed", "internal", 1000, None)
    assert bearer(told["key"]).identity == f"key:{told['id']}"


def test_create_takes_scopes_a_rate_and_an_expiry():
    arguments = ["--scope", "market:write", "--scope", "market:read", "--rate", "5"]
    told = json.loads(run("create", "feed", *arguments, "--expires", "2099-01-02T03:04:05", "--json"))
    assert told["scopes"] == ["market:read", "market:write"]
    assert (told["rate"], told["expires_at"]) == (5, "2099-01-02T03:04:05Z")


def test_create_takes_all_that_a_key_may_be(tmp_path):
    pem = tmp_path / "client.pem"
    certificate = self_signed()
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    arguments = [
        "--scope",
        "trading:read",
        "--trading-rate",
        "3",
        "--daily-quota",
        "5",
        "--monthly-quota",
        "none",
    ]
    arguments += ["--account", "A", "--account", "B", "--network", "10.0.0.0/8", "--sensitivity", "public"]
    arguments += ["--signed-only", "--certificate", str(pem), "--before-expiry", "rotate"]
    told = json.loads(run("create", "feed", "--tier", "premium", *arguments, "--json"))
    expected = {
        "trading_rate": 3,
        "daily_quota": 5,
        "monthly_quota": None,
        "accounts": ["A", "B"],
        "networks": ["10.0.0.0/8"],
        "sensitivity": "public",
        "signed_only": True,
        "certificate": hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        "before_expiry": "rotate",
    }
    assert {name: told[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "accounts"),
    [
        (["--scope", "all"], ["*"]),
        (["--scope", "all", "--account", "A"], ["A"]),
        (["--scope", "trading:read"], []),
        ([], []),
    ],
    ids=str,
)
def test_a_key_for_everything_has_every_account_unless_some_are_named(arguments, accounts):
    assert json.loads(run("create", "feed", *arguments, "--json"))["accounts"] == accounts


def test_create_for_a_person_says_that_the_key_is_shown_once():
    out = run("create", "feed")
    assert "shown only now" in out
    assert "Signing secret: mds_" in out
    assert bearer(out.splitlines()[0]).scopes == {"market:read"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "feed", "--tier", "gold"],
        ["create", "feed", "--scope", "everything"],
        ["create", "feed", "--rate", "many"],
        ["create", "feed", "--expires", "tomorrow"],
        ["create", ""],
        ["create", "feed", "--daily-quota", "0"],
        ["create", "feed", "--monthly-quota", "many"],
        ["create", "feed", "--sensitivity", "secret"],
        ["create", "feed", "--before-expiry", "nothing"],
        ["create", "feed", "--certificate", "/nowhere.pem"],
        ["create", "feed", "--certificate", __file__],
        ["create"],
        [],
        ["revoke", "zzzzzzzz"],
        ["rotate", "zzzzzzzz"],
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


def test_revoke_as_json_shows_the_revoked_key():
    created = json.loads(run("create", "feed", "--json"))
    assert json.loads(run("revoke", created["prefix"], "--json"))["state"] == "revoked"


def test_rotate_shows_the_new_secret_once_and_both_work():
    old = json.loads(run("create", "feed", "--rate", "7", "--json"))
    new = json.loads(run("rotate", old["prefix"], "--json"))
    assert (new["id"], new["rate"]) == (old["id"], 7)
    assert [bearer(key["key"]).identity for key in (old, new)] == [f"key:{old['id']}"] * 2
    with pytest.raises(CommandError, match="rotated before"):
        run("rotate", str(old["id"]))


def test_rotate_for_a_person_says_until_when_the_old_secret_holds():
    created = json.loads(run("create", "feed", "--json"))
    out = run("rotate", str(created["id"]), "--overlap", "0")
    assert bearer(out.splitlines()[0]).name == "feed"
    assert "The old secret is valid until " in out


@pytest.mark.parametrize(
    ("overlap", "seconds"), [("0", 0), ("90s", 90), ("5m", 300), ("12h", 43_200), ("7d", 604_800)]
)
def test_an_overlap_is_seconds_or_has_a_unit(overlap, seconds):
    created = json.loads(run("create", "feed", "--json"))
    begin = timezone.now()
    run("rotate", str(created["id"]), "--overlap", overlap)
    end = ApiKey.objects.get().overlap_until
    assert end is not None
    assert begin <= end - timedelta(seconds=seconds) <= timezone.now()


@pytest.mark.parametrize("overlap", ["31d", "-1", "soon", "1w", "1.5h", "1" * 10])
def test_an_overlap_out_of_bounds_rotates_nothing(overlap):
    created = json.loads(run("create", "feed", "--json"))
    with pytest.raises(CommandError):
        run("rotate", str(created["id"]), f"--overlap={overlap}")
    assert ApiKey.objects.get().old_digest is None


def test_the_actor_of_a_command_is_recorded(events, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    run("create", "feed")

    def nameless() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nameless)
    run("create", "feed")
    assert [told["actor"] for told in events] == ["command:alice", f"command:{os.getuid()}"]


def self_signed() -> Certificate:
    """A certificate that nobody trusts."""
    key, now = generate_private_key(SECP256R1()), timezone.now()
    name = Name([NameAttribute(NameOID.COMMON_NAME, "client")])
    builder = CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, SHA256())


def test_revoke_ends_a_key_or_only_its_old_secret():
    old = json.loads(run("create", "feed", "--json"))
    new = json.loads(run("rotate", old["prefix"], "--json"))
    name = f"key {old['id']} ({old['prefix']}, feed)"
    assert run("revoke", old["prefix"], "--only-old").startswith(f"The old secret of {name} is revoked, ")
    assert run("revoke", old["prefix"], "--only-old") == f"Nothing was changed: {name}.\n"
    assert bearer(new["key"]).name == "feed"
    assert run("revoke", old["prefix"]).startswith(f"{name.capitalize()[:3]}{name[3:]} is revoked, ")
    assert run("revoke", old["prefix"]) == f"Nothing was changed: {name}.\n"
