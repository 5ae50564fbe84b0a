"""The Dockerfile, line by line against the Makefile, the settings and the pages: no test can build an image."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings
from django.urls import resolve

ROOT: Path = settings.BASE_DIR
RECIPE = re.search(r"^\.venv/\.installed:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
# What the server reads besides its packages.
READ = {"LICENSE", "clients", "docs", "manage.py", "requirements.txt", "requirements-charts.txt"}


def instructions() -> list[tuple[str, str]]:
    """The name and the arguments of each instruction."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def arguments(name: str) -> list[str]:
    return [each for instruction, each in instructions() if instruction == name]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for each in arguments("ENV") for word in shlex.split(each))


def test_the_image_has_these_instructions_in_this_order():
    assert " ".join(name for name, _ in instructions()) == (
        "FROM ENV WORKDIR COPY RUN RUN COPY RUN RUN RUN USER ENV VOLUME EXPOSE HEALTHCHECK ENTRYPOINT"
    )


def test_its_python_is_one_that_the_client_names():
    classifiers = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"][
        "classifiers"
    ]
    (base,) = arguments("FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim", base)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in classifiers


def test_it_installs_what_make_setup_installs():
    assert RECIPE is not None
    by_make = re.findall(r"requirements[a-z-]*\.txt|--editable \S+", RECIPE[1])
    installs = [each for each in arguments("RUN") if each.startswith("pip install ")]
    assert [re.findall(r"requirements[a-z-]*\.txt|--editable \S+", each) for each in installs] == [
        [each] for each in by_make
    ]
    makefile = (ROOT / "Makefile").read_text()
    assert "--require-hashes" in makefile[makefile.index("PIP :=") :].partition("\n")[0]
    assert all(("--require-hashes" in each) == ("requirements" in each) for each in installs)
    lines = [line for line in RECIPE[1].splitlines() if "requirements" in line or "--editable" in line]
    for option in ("--no-deps", "--no-build-isolation"):
        assert [option in each for each in installs] == [option in line for line in lines]
    first, everything = arguments("COPY")
    assert first.split() == [*(each for each in by_make if each.endswith(".txt")), "./"]
    assert everything == ". ./"


def test_it_runs_what_make_run_runs():
    makefile = (ROOT / "Makefile").read_text()
    assert "exec $(PY) manage.py serve\n" in makefile
    assert arguments("ENTRYPOINT") == ['["python", "manage.py", "serve"]']


def test_its_environment_are_settings_and_fit_its_volume_port_and_user():
    given = environment()
    documented = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    assert {name for name in given if not name.startswith(("PIP_", "PYTHON"))} <= set(documented)
    assert given["HOST"] == "0.0.0.0"
    assert arguments("EXPOSE") == [given["PORT"]]
    assert arguments("VOLUME") == [given["DATA_DIR"]]
    assert given["LOGIN_LINK"] == "0"


def test_its_user_is_not_root_owns_the_folders_and_changes_nothing_else():
    assert arguments("USER") == ["nobody"]
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in {"RUN", "COPY"})
    (made,) = [each for each in arguments("RUN") if each.startswith("install ")]
    assert made == "install --directory --owner nobody --group nogroup --mode 700 /data /shared"


# The health check


def healthcheck() -> str:
    """The command, which a shell runs."""
    (check,) = arguments("HEALTHCHECK")
    return check.partition(" CMD ")[2]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that answers `/readyz` with a status; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def checked(port: int) -> int:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # A proxy that Docker sets is for other hosts.
    environ = {"PATH": path, "PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    command = ["/bin/sh", "-c", healthcheck()]
    return subprocess.run(command, env=environ, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (308, 1)])
def test_the_health_check_fails_unless_the_server_is_ready(status, code):
    with answering(status) as port:
        assert checked(port) == code


def test_the_health_check_fails_without_a_server():
    with answering(200) as port:
        pass
    assert checked(port) == 1


def test_the_health_check_calls_a_page_that_the_server_has():
    assert resolve("/readyz").url_name == "readyz"


# The context


def patterns() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_context_has_the_packages_and_what_they_read_and_nothing_else():
    listed = patterns()
    assert listed[0] == "*"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["importlinter"]["root_packages"])
    assert {each[1:] for each in listed if each.startswith("!")} == packages | READ
    assert [each for each in listed[1:] if not each.startswith("!")] == [
        "clients/python/tests",
        "**/__pycache__",
        "**/*.egg-info",
    ]
    assert all((ROOT / each).exists() for each in packages | READ)
