"""The files of `deploy/`: what they name exists, and nothing runs with more rights than it needs."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from marketdata_project.hosts import ROLES

DEPLOY = settings.BASE_DIR / "deploy"
COMPOSE = DEPLOY / "compose"
UNIT = DEPLOY / "systemd" / "marketdata@.service"
DOCKERFILE = (COMPOSE / "Dockerfile").read_text()
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


def test_a_container_runs_as_nobody_and_cannot_write_its_program(hosts):
    assert re.search(r"^USER nobody$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.index("USER nobody") > DOCKERFILE.rindex("RUN ")
    for each in hosts.values():
        assert each["read_only"]
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]


def test_each_host_has_a_data_folder_of_its_own_and_the_settings_of_many_hosts(hosts, compose):
    folders = [volume for each in hosts.values() for volume in each["volumes"] if volume.endswith(":/data")]
    assert len(set(folders)) == len(hosts)
    for each in hosts.values():
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
    build = compose["x-host"]["build"]
    context = (COMPOSE / build["context"]).resolve()
    assert context == settings.BASE_DIR
    assert (context / build["dockerfile"]).exists()
    ignored = [part for part in GIVEN if f"deploy/compose/{part}/" in (context / ".gitignore").read_text()]
    assert tuple(ignored) == GIVEN


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
