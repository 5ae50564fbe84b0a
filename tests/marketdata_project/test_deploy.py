"""The files of `deploy/`: what they name exists, and nothing runs with more rights than it needs."""

import os
import re
import shutil
import subprocess
import sys
import time
from configparser import ConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from marketdata_project.hosts import ROLES
from ops.metrics.process_files import Publisher

DEPLOY = settings.BASE_DIR / "deploy"
COMPOSE = DEPLOY / "compose"
UNIT = DEPLOY / "systemd" / "marketdata@.service"
# Their keys and certificates are the operator's.
GIVEN = ("secrets", "tls")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def hosts(compose) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in compose["services"].items() if each.get("image") == compose["name"]}


def test_the_containers_have_two_web_hosts_and_every_role(hosts):
    roles = sorted(each["command"][1] for each in hosts.values())
    assert roles == sorted(["web", *ROLES])
    assert {each["command"][0] for each in hosts.values()} == {"--only"}


def test_a_container_cannot_write_its_program(hosts):
    for each in hosts.values():
        assert each["read_only"]
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]


def test_each_host_has_a_data_folder_of_its_own_and_the_settings_of_many_hosts(hosts, compose):
    folders = [volume for each in hosts.values() for volume in each["volumes"] if volume.endswith(":/data")]
    assert len(set(folders)) == len(hosts)
    for each in hosts.values():
        assert each["environment"]["DJANGO_SETTINGS_MODULE"] == "marketdata_project.settings.production"
        needed = {"SECRET_KEY_FILE", "DATABASE_URL_FILE", "MARKET_STORE_FILE", "REDIS_URL", "WEB_HOSTS"}
        assert needed <= each["environment"].keys()
    webs = [each for each in hosts.values() if each["command"][1] == "web"]
    assert int(hosts["web1"]["environment"]["WEB_HOSTS"]) == len(webs)
    upstream = compose["services"]["nginx"]["environment"]["UPSTREAM"]
    addresses = [each["networks"]["default"]["ipv4_address"] for each in webs]
    assert upstream == "; server ".join(f"{address}:8000" for address in addresses)
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    for address in map(ip_address, addresses):
        # Nobody else gets it.
        assert address in ip_network(network["subnet"])
        assert address not in ip_network(network["ip_range"])


def test_what_the_containers_name_exists(compose):
    for name, each in compose["services"].items():
        for volume in each.get("volumes", []):
            source = volume.partition(":")[0]
            is_file = source.startswith(".") and source.removeprefix("./") not in GIVEN
            assert (COMPOSE / source).exists() if is_file else True, (name, source)
            assert source.startswith(".") or source in compose["volumes"], (name, source)
        assert set(each.get("secrets", [])) <= compose["secrets"].keys()
        assert set(each.get("depends_on", [])) <= compose["services"].keys()
    context = (COMPOSE / compose["x-host"]["build"]).resolve()
    assert context == settings.BASE_DIR
    assert (context / "Dockerfile").exists()
    ignored = [part for part in GIVEN if f"deploy/compose/{part}/" in (context / ".gitignore").read_text()]
    assert tuple(ignored) == GIVEN


SECRETS = {
    "secret_key": "0123456789abcdef" * 4,
    "database_url": "postgres://marketdata:password@postgres/marketdata",
    "market_store": "clickhouse://clickhouse1:9000,clickhouse2:9000/market",
}


def test_the_program_takes_the_settings_of_a_host(hosts, tmp_path):
    """The secrets are as the page has them."""
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value)
    environment = {
        name: value.replace("/run/secrets", str(tmp_path)).replace(
            "${SERVER_NAME:-localhost}", "desk.example"
        )
        for name, value in hosts["web1"]["environment"].items()
    }
    program = (
        "import django; django.setup(); from django.conf import settings; from marketdata_project.hosts import roles_of;"
        "print(*roles_of(['web']), settings.WEB_HOSTS, settings.SECURE_PROXY_SSL_HEADER[1], *settings.ALLOWED_HOSTS)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **environment},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("web 2 https desk.example\n", "")
    documented = (settings.BASE_DIR / "docs/settings.md").read_text()
    own = environment.keys() - {"DJANGO_SETTINGS_MODULE"}
    assert [name for name in own if f"| `{name.removesuffix('_FILE')}` |" not in documented] == []


def test_every_container_has_a_health_check_and_hosts_wait_for_the_servers(compose, hosts):
    for name, each in compose["services"].items():
        # The image's own check asks a web process.
        assert ("healthcheck" in each) == (name not in {"web1", "web2"}), name
    servers = {"postgres", "redis", "clickhouse1", "clickhouse2"}
    for each in hosts.values():
        assert each["depends_on"] == {name: {"condition": "service_healthy"} for name in servers}


@pytest.mark.parametrize(("age", "code"), [(0, 0), (40, 1), (None, 1)], ids=["fresh", "old", "missing"])
@pytest.mark.parametrize("role", ["worker", "engine", "jobs"])
def test_a_host_without_web_processes_is_healthy_while_its_process_publishes(
    role, age, code, hosts, tmp_path
):
    folder = tmp_path / settings.METRICS_DIR.relative_to(settings.DATA_DIR)
    folder.mkdir(parents=True)
    if age is not None:
        Publisher(folder, role).publish()
        written = time.time() - age
        os.utime(folder / f"{role}.json", (written, written))
    command = hosts[role]["healthcheck"]["test"].replace("$$", "$").replace("/data/", f"{tmp_path}/")
    done = subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == code
    # The process has the role's name in its metrics.
    process = {"worker": "worker", "engine": "trading_engine", "jobs": "job_worker"}[role]
    (program,) = settings.BASE_DIR.glob(f"*/management/commands/{process}.py")
    assert f'start_publishing_metrics("{role}")' in program.read_text()


def test_the_variables_of_the_proxy_are_those_of_its_template(compose):
    template = (DEPLOY / "nginx" / "marketdata.conf").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)\}", template))
    assert compose["services"]["nginx"]["environment"].keys() == asked


def test_the_unit_runs_a_role_restarts_by_sighup_and_writes_its_own_folder_only():
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as the documentation of configparser does
    unit.read(UNIT)
    service = unit["Service"]
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["ExecStart"].endswith("manage.py serve --only %i")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert (service["StateDirectory"], service["User"]) == ("marketdata/%i", "marketdata")
    assert (service["ProtectSystem"], service["NoNewPrivileges"]) == ("strict", "yes")
    assert Path(service["ReadWritePaths"].removeprefix("-")) == Path("/srv/marketdata")


def test_systemd_knows_every_option_of_the_unit(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd")
    copy = tmp_path / "marketdata@web.service"
    copy.write_text(UNIT.read_text())
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line] == []
