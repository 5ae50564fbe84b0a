"""A real ClickHouse of a test's own: two shards, ordinary processes on loopback."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

_CONFIG = """<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>
  <interserver_http_port>{inter}</interserver_http_port><interserver_http_host>127.0.0.1</interserver_http_host>
  <listen_host>127.0.0.1</listen_host><max_concurrent_queries>100</max_concurrent_queries>
  <mark_cache_size>67108864</mark_cache_size><timezone>UTC</timezone>
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
  <user_files_path>{folder}/files/</user_files_path><format_schema_path>{folder}/formats/</format_schema_path>
  <users_config>users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database>
  <remote_servers><market>{shards}</market></remote_servers>
</yandex>
"""
_USERS = """<?xml version="1.0"?>
<yandex>
  <profiles><default><max_memory_usage>2000000000</max_memory_usage></default></profiles>
  <users><default>
    <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default/></quotas>
</yandex>
"""
_SHARD = "<shard><replica><host>127.0.0.1</host><port>{tcp}</port></replica></shard>"


@contextlib.contextmanager
def clickhouse() -> Iterator[str]:
    """The hosts of two shards with the cluster's name `market`, as they stand in a store's URL."""
    program = shutil.which("clickhouse-server")
    if program is None:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no ClickHouse")
    folder = Path(tempfile.mkdtemp(prefix="ch"))
    ports = _free_ports(6)
    nodes = [dict(zip(("http", "tcp", "inter"), ports[start : start + 3], strict=True)) for start in (0, 3)]
    shards = "".join(_SHARD.format(**node) for node in nodes)
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for number, node in enumerate(nodes):
            home = folder / f"node{number}"
            for name in ("data", "tmp", "files", "formats"):
                (home / name).mkdir(parents=True)
            (home / "config.xml").write_text(_CONFIG.format(folder=home, shards=shards, **node))
            (home / "users.xml").write_text(_USERS)
            with (home / "output").open("wb") as output:
                command = [str(program), f"--config-file={home}/config.xml"]
                servers.append(subprocess.Popen(command, cwd=home, stdout=output, stderr=output))
        for node in nodes:
            _wait(node["http"], folder)
        yield ",".join(f"127.0.0.1:{node['tcp']}" for node in nodes)
    finally:
        # It ends slowly, and nothing is to be kept.
        for server in servers:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(port: int, folder: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1).read()
        except OSError:
            assert time.monotonic() < end, [each.read_text() for each in folder.glob("node*/errors")]
            time.sleep(0.05)
        else:
            return
