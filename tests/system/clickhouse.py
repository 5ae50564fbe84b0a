"""A real ClickHouse of a test's own: two shards, ordinary processes."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

_CONFIG = """<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>
  <interserver_http_port>{inter}</interserver_http_port><interserver_http_host>{address}</interserver_http_host>
  <listen_host>{address}</listen_host><max_concurrent_queries>100</max_concurrent_queries>
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
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default/></quotas>
</yandex>
"""
_SHARD = "<shard><replica><host>{address}</host><port>{tcp}</port></replica></shard>"


class Shard:
    """A server in a folder of its own."""

    def __init__(self, home: Path, address: str, ports: Sequence[int]) -> None:
        self._home = home
        self._names = {"address": address, **dict(zip(("http", "tcp", "inter"), ports, strict=True))}
        self.place = f"{address}:{self._names['tcp']}"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, shards: Iterable["Shard"]) -> None:
        """Write its configuration, with all shards of the cluster."""
        for name in ("data", "tmp", "files", "formats"):
            (self._home / name).mkdir(parents=True)
        listed = "".join(_SHARD.format(**each._names) for each in shards)
        config = _CONFIG.format(folder=self._home, shards=listed, **self._names)
        (self._home / "config.xml").write_text(config)
        (self._home / "users.xml").write_text(_USERS)

    def start(self) -> None:
        program = shutil.which("clickhouse-server")
        if program is None:
            (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no ClickHouse")
        with (self._home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [program, f"--config-file={self._home}/config.xml"],
                cwd=self._home,
                stdout=output,
                stderr=output,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                url = f"http://{self._names['address']}:{self._names['http']}/ping"
                urllib.request.urlopen(url, timeout=1).read()
            except OSError:
                assert time.monotonic() < end, (self._home / "errors").read_text()
                time.sleep(0.05)
            else:
                return

    def pids(self) -> list[int]:
        return [] if self._process is None else [self._process.pid]

    def kill(self) -> None:
        """It ends slowly otherwise."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def clickhouse() -> Iterator[str]:
    """The hosts of two shards with the cluster's name `market`, as they stand in a store's URL."""
    folder, ports = Path(tempfile.mkdtemp(prefix="ch")), _free_ports(6)
    shards = [Shard(folder / f"node{start}", "127.0.0.1", ports[start : start + 3]) for start in (0, 3)]
    try:
        for shard in shards:
            shard.configure(shards)
            shard.start()
        for shard in shards:
            shard.wait()
        yield ",".join(shard.place for shard in shards)
    finally:
        for shard in shards:
            shard.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
