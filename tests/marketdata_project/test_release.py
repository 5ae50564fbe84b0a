"""Service, store and client are released together: one version, one licence."""

import subprocess
import sys
import tomllib

import pytest
from django.conf import settings
from django.test import Client

import marketdata_client
from marketdata_client.config import USER_AGENT
from marketdata_project import __version__

VERSION = "0.2.0"
PROJECTS = [settings.BASE_DIR, settings.BASE_DIR / "clients/python"]
projects = pytest.mark.parametrize("folder", PROJECTS, ids=["store", "client"])


def test_the_service_and_the_client_have_the_version(db: None, project_redis: object) -> None:
    assert (__version__, marketdata_client.__version__) == (VERSION, VERSION)
    assert f"marketdata-client/{VERSION}" == USER_AGENT
    assert settings.SPECTACULAR_SETTINGS["VERSION"] == VERSION
    assert Client().get("/api/versions").json()["version"] == VERSION


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_the_command_prints_the_version(argument: str) -> None:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), argument]
    assert subprocess.run(command, check=True, capture_output=True).stdout.decode() == f"{VERSION}\n"


@projects
def test_a_package_has_the_version(folder) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    file = project["tool"]["setuptools"]["dynamic"]["version"]["file"]
    assert (folder / file).read_text().strip() == VERSION


@projects
def test_a_package_is_licensed_by_its_spdx_identifier(folder) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    text = (folder / "LICENSE").read_text()
    assert "Apache License, Version 2.0" in text
    assert "SPDX-License-Identifier: Apache-2.0" in text
    assert "https://www.apache.org/licenses/LICENSE-2.0" in text
