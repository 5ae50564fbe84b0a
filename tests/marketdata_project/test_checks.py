"""Settings that cannot work are found by `manage.py check`, with an id and a hint."""

from ipaddress import ip_network

import pytest
from django.core.checks import registry, run_checks

from marketdata_project import checks
from marketdata_project.settings import environment
from tests.memory_store import MemoryStore


class Locked(MemoryStore):
    """A store that cannot be made."""

    def __init__(self) -> None:
        raise PermissionError("the folder is locked")


MEMORY = "tests.memory_store.MemoryStore"
STORES = {
    "no such module": {"BACKEND": "nowhere.Store"},
    "no such class": {"BACKEND": "tests.memory_store.Store"},
    "no backend": {"OPTIONS": {}},
    "unknown option": {"BACKEND": MEMORY, "OPTIONS": {"colour": "red"}},
    "refuses": {"BACKEND": f"{__name__}.Locked"},
}


def test_each_endpoint_declares_what_it_requires(settings):
    assert checks.check_access() == []
    settings.ROOT_URLCONF = "tests.ratelimit.access.accounts_site"
    [found] = checks.check_access()
    assert found.id == "marketdata.E010"
    assert "DELETE /plain" in found.msg
    assert "GET /undeclared" in found.msg


@pytest.mark.parametrize("cores", ["auto", "none"])
def test_workers_may_keep_to_cores(settings, cores):
    settings.WORKER_CORES = cores
    assert checks.check_worker_cores() == []


@pytest.mark.parametrize("cores", ["", "all", "0,1"])
def test_other_values_for_cores_are_refused(settings, cores):
    settings.WORKER_CORES = cores
    (found,) = checks.check_worker_cores()
    assert found.id == "marketdata.E007"
    assert repr(cores) in found.msg


@pytest.mark.parametrize("declared", STORES.values(), ids=STORES)
def test_the_store_can_be_made(settings, declared):
    settings.MARKET_STORES = {"default": declared}
    assert [found.id for found in checks.check_store()] == ["marketdata.E003"]
    settings.MARKET_STORES = {"default": {"BACKEND": MEMORY}}
    assert checks.check_store() == []


def test_a_default_store_is_declared(settings):
    settings.MARKET_STORES = {"other": {"BACKEND": MEMORY}}
    assert [found.id for found in checks.check_store()] == ["marketdata.E003"]


@pytest.mark.parametrize(("hosts", "ids"), [(["a.example"], []), (["a.example", "*"], ["marketdata.W002"])])
def test_hosts_of_a_deployment_have_names(settings, hosts, ids):
    settings.ALLOWED_HOSTS = hosts
    assert [found.id for found in checks.check_hosts()] == ids
    assert "marketdata.W002" not in {found.id for found in run_checks()}
    assert ("marketdata.W002" in {found.id for found in run_checks(include_deployment_checks=True)}) is bool(
        ids
    )


@pytest.mark.parametrize("mode", [0o700, 0o770, 0o701, 0o755])
def test_a_data_folder_is_closed_to_others(settings, tmp_path, mode):
    settings.DATA_DIR = tmp_path
    tmp_path.chmod(mode)
    assert [found.id for found in checks.check_data_folder()] == (["marketdata.W003"] if mode & 0o007 else [])
    settings.DATA_DIR = tmp_path / "not there yet"
    assert checks.check_data_folder() == []


def test_a_proxy_that_is_believed_is_named(settings):
    settings.BEHIND_TLS_PROXY, settings.TRUSTED_PROXIES = True, ()
    assert [found.id for found in checks.check_proxies()] == ["marketdata.E004"]
    settings.TRUSTED_PROXIES = (ip_network("10.0.0.0/8"),)
    assert checks.check_proxies() == []
    settings.BEHIND_TLS_PROXY, settings.TRUSTED_PROXIES = False, ()
    assert checks.check_proxies() == []


def test_csrf_tokens_are_checked(settings):
    assert checks.check_csrf() == []
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if "Csrf" not in path]
    assert [found.id for found in checks.check_csrf()] == ["marketdata.E005"]


def test_all_run_with_djangos_and_give_a_hint(settings):
    assert set(checks._CHECKS) <= set(registry.registry.get_checks())
    assert set(checks._DEPLOYMENT_CHECKS) <= set(registry.registry.get_checks(include_deployment_checks=True))
    settings.WORKER_CORES, settings.MARKET_STORES = "all", {}
    found = {
        error.id: error.hint for error in run_checks() if error.id and error.id.startswith("marketdata.")
    }
    assert sorted(found) == ["marketdata.E003", "marketdata.E007"]
    assert all(found.values())


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o604, 0o602])
def test_a_file_of_a_secret_is_closed_to_others(settings, monkeypatch, tmp_path, mode):
    file = tmp_path / "key"
    file.write_text("a secret")
    file.chmod(mode)
    settings.SECRET_FILES = {}
    monkeypatch.setattr(environment, "SECRET_FILES", settings.SECRET_FILES)
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    monkeypatch.delenv("SECRET_KEY", raising=False)
    assert environment.secret("SECRET_KEY") == "a secret"
    found = checks.check_secret_files()
    assert [(each.id, each.hint) for each in found] == (
        [("marketdata.W004", f"chmod o-rwx {file}")] if mode & 0o007 else []
    )
    assert all("SECRET_KEY_FILE" in each.msg and "a secret" not in each.msg for each in found)
