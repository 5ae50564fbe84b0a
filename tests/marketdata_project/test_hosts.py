"""`serve --only`: which processes a host runs, and what many hosts must share."""

import pytest
from django.db import connection

from marketdata_project.hosts import ROLES, HostRefused, roles_of


@pytest.fixture
def shared(monkeypatch, settings):
    """Settings of one of many hosts."""
    monkeypatch.setattr(connection, "vendor", "postgresql")
    settings.REDIS_EMBEDDED = False
    settings.MARKET_STORE = "clickhouse://127.0.0.1/market"


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


def test_a_host_alone_is_refused_with_the_settings_that_it_lacks(settings):
    settings.SECRET_KEY_IS_OWN = True
    with pytest.raises(HostRefused) as refused:
        roles_of(["web"])
    assert "set DATABASE_URL (PostgreSQL), REDIS_URL, MARKET_STORE, SECRET_KEY." in str(refused.value)
