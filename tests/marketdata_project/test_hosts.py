"""`serve --only`: which processes a host runs, and what many hosts must share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as project_settings
from django.db import connection

from marketdata_project.hosts import ROLES, HostRefused, roles_of


@pytest.fixture
def shared(monkeypatch, settings):
    """Settings of one of many hosts."""
    monkeypatch.setattr(connection, "vendor", "postgresql")
    settings.REDIS_EMBEDDED = False
    settings.MARKET_STORE = "clickhouse://127.0.0.1/market"
    settings.UPLOADS_DIR = settings.EXPORTS_DIR = Path("/srv/shared")


def test_without_the_option_a_host_runs_everything():
    assert roles_of([]) == set(ROLES)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("named", [["web,engine"], ["web", "engine"], ["web", "web,engine"]])
def test_roles_are_named_together_or_one_by_one(named):
    assert roles_of(named) == {"web", "engine"}


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("named", ["beat", "web,", "", "web, engine"])
def test_what_is_no_role_is_refused_with_the_roles(named):
    with pytest.raises(HostRefused, match="takes web, worker, engine, jobs, separated by commas; not "):
        roles_of([named])


@pytest.mark.usefixtures("shared")
def test_a_store_of_files_is_none_of_many_hosts(settings):
    settings.MARKET_STORE = "csv:///srv/data"
    with pytest.raises(HostRefused, match=r"set MARKET_STORE \(of servers\)\."):
        roles_of(["web"])


def test_over_postgresql_a_host_that_is_gone_is_noticed(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody@host/name?sslmode=require")
    show = (
        "import json; from marketdata_project.settings import development as s;"
        "print(json.dumps(s.DATABASES['default']['OPTIONS']))"
    )
    command = [sys.executable, "-c", show]
    done = subprocess.run(command, cwd=project_settings.BASE_DIR, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "sslmode": "require",
        "tcp_user_timeout": 5_000,
        "keepalives_idle": 5,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "options": "-c tcp_user_timeout=5000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=1"
        " -c tcp_keepalives_count=3",
    }


def test_a_host_alone_is_refused_with_the_settings_that_it_lacks(monkeypatch, settings):
    monkeypatch.setattr(connection, "vendor", "sqlite")
    settings.SECRET_KEY_IS_OWN = True
    with pytest.raises(HostRefused) as refused:
        roles_of(["web"])
    assert (
        "set DATABASE_URL (PostgreSQL), REDIS_URL, MARKET_STORE (of servers), SECRET_KEY,"
        " UPLOADS_DIR (shared), EXPORTS_DIR (shared)."
    ) in str(refused.value)
