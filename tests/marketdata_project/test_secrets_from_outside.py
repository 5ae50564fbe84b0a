"""Secrets come from the environment or from files; production does not start without them, nor with one that can be guessed."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings.environment import required_secret, weakness_of
from tests.patience import PROGRAM_SECONDS

GOOD = secrets.token_urlsafe(64)
OTHER = secrets.token_urlsafe(64)
SHOW = (
    "import django; django.setup(); from django.conf import settings as s;"
    "print(s.SECRET_KEY, s.SECRET_KEY_FALLBACKS, s.SIGNING_SECRET, s.REDIS_URL, s.DATABASES['default'].get('PASSWORD'))"
)


def started(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Production with this environment."""
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.production",
        "DATA_DIR": str(tmp_path),
        **environment,
    }
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )


@pytest.mark.system
def test_all_secrets_may_come_from_files(tmp_path):
    def file(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    done = started(
        tmp_path,
        SECRET_KEY_FILE=file("a", f"{GOOD}\n"),
        SECRET_KEY_FALLBACKS_FILE=file("b", f"{OTHER}\n{OTHER[::-1]}\n"),
        SIGNING_SECRET_FILE=file("c", OTHER),
        REDIS_URL_FILE=file("d", "redis://:sesame-r@127.0.0.1:1/0\n"),
        DATABASE_URL_FILE=file("e", "postgres://user:sesame-d@/database\n"),
    )
    said = f"{GOOD} {[OTHER, OTHER[::-1]]} {OTHER} redis://:sesame-r@127.0.0.1:1/0 sesame-d\n"
    assert (done.stdout, done.stderr) == (said, "")


def test_a_secret_that_looks_like_a_variable_is_a_secret(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", f"$PATH{GOOD}")
    assert required_secret("SECRET_KEY") == f"$PATH{GOOD}"


NOT_STARTED = {
    "no secret": ({}, "SECRET_KEY (or SECRET_KEY_FILE) is not set"),
    "weak fallback": (
        {"SECRET_KEY": GOOD, "SECRET_KEY_FALLBACKS": f"{OTHER},short-one"},
        "SECRET_KEY_FALLBACKS, number 2, is too weak",
    ),
    "weak audit key": ({"SECRET_KEY": GOOD, "AUDIT_KEY": "hush-hush"}, "AUDIT_KEY is too weak"),
    "proxy without a name": (
        {"SECRET_KEY": GOOD, "BEHIND_TLS_PROXY": "1"},
        "BEHIND_TLS_PROXY needs TRUSTED_PROXIES",
    ),
}


@pytest.mark.system
@pytest.mark.parametrize(("environment", "message"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_production_does_not_start_and_says_what_is_missing(tmp_path, environment, message):
    done = started(tmp_path, **environment)
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]
    values = [value for value in environment.values() if len(value) > 1]
    assert [value for value in values if value in done.stderr] == []


REFUSED = {
    "none": ({}, "SECRET_KEY (or SECRET_KEY_FILE) is not set"),
    "empty": ({"SECRET_KEY": ""}, "SECRET_KEY (or SECRET_KEY_FILE) is not set"),
    "short": ({"SECRET_KEY": GOOD[:49]}, "SECRET_KEY is too weak: it has 49 characters"),
    "monotonous": ({"SECRET_KEY": "abab" * 20}, "SECRET_KEY is too weak: it has fewer than 5 different"),
    "an example": ({"SECRET_KEY": f"django-insecure-{GOOD}"}, "SECRET_KEY is too weak: it begins"),
    "no such file": ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE cannot be read: FileNotFoundError"),
    "a folder": ({"SECRET_KEY_FILE": "/"}, "SECRET_KEY_FILE cannot be read: IsADirectoryError"),
    "both": ({"SECRET_KEY": GOOD, "SECRET_KEY_FILE": "/x"}, "SECRET_KEY and SECRET_KEY_FILE are both set"),
}


@pytest.mark.parametrize(("environment", "message"), REFUSED.values(), ids=REFUSED)
def test_a_missing_or_weak_secret_is_refused_without_being_shown(monkeypatch, environment, message):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refusal:
        required_secret("SECRET_KEY")
    assert message in str(refusal.value)
    assert not any(value in str(refusal.value) for value in environment.values() if len(value) > 10)


@pytest.mark.parametrize("value", [GOOD, OTHER, "0123456789" * 5], ids=["random", "other", "digits"])
def test_what_is_long_and_varied_is_no_weak_secret(value):
    assert weakness_of(value) == ""


@pytest.mark.system
@pytest.mark.soak
def test_the_checks_of_a_deployment_have_nothing_to_say(tmp_path):
    """`make check` asks them in each run."""
    manage = Path(__file__).resolve().parents[2] / "manage.py"
    done = subprocess.run(
        [sys.executable, str(manage), "check", "--deploy", "--fail-level", "WARNING"],
        env={
            **{name: os.environ[name] for name in ("PATH",)},
            "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.production",
            "SECRET_KEY": GOOD,
            "DATA_DIR": str(tmp_path / "data"),
        },
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Django's own does not know a subclass of its middleware; marketdata.E005 does.
    assert done.stdout.splitlines()[-1] == "System check identified no issues (1 silenced)."
