"""Hosts of a test's own: network namespaces behind a router that can drop packets. Only root can make them."""

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_NEW_NETWORK = 0x40000000
_numbers = itertools.count()


@dataclass(frozen=True)
class Host:
    """A network namespace with one address beside loopback."""

    namespace: str
    address: str

    def enter(self) -> None:
        """Have this thread, and the processes and threads it starts, be on the host."""
        _enter(Path("/run/netns") / self.namespace)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is on the host meanwhile."""
        self.enter()
        try:
            yield
        finally:
            _enter(Path(f"/proc/{os.getpid()}/ns/net"))


@dataclass(frozen=True)
class Network:
    """Hosts that reach each other through a router."""

    router: str
    hosts: dict[str, Host]

    @contextlib.contextmanager
    def lost(self, *ways: tuple[str, str]) -> Iterator[None]:
        """Packets from a host to another vanish meanwhile, for each pair of hosts."""
        rules = [
            ["from", self.hosts[source].address, "to", self.hosts[target].address, "blackhole"]
            for source, target in ways
        ]
        for rule in rules:
            _ip("-n", self.router, "rule", "add", *rule)
        try:
            yield
        finally:
            for rule in rules:
                _ip("-n", self.router, "rule", "del", *rule)


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Hosts with these names."""
    if os.geteuid() or not shutil.which("ip"):
        reason = "network namespaces need root and iproute2"
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)(reason)
    router = f"test{os.getpid()}-{next(_numbers)}"
    hosts = {name: Host(f"{router}-{name}", f"10.0.{place}.2") for place, name in enumerate(names)}
    with contextlib.ExitStack() as stack:
        _make(stack, router)
        with Host(router, "").entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for place, host in enumerate(hosts.values()):
            _make(stack, host.namespace)
            link = f"to{place}"
            _ip(
                "-n",
                router,
                "link",
                "add",
                link,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                host.namespace,
            )
            for where, name, end in ((router, link, 1), (host.namespace, "eth0", 2)):
                _ip("-n", where, "addr", "add", f"10.0.{place}.{end}/24", "dev", name)
                _ip("-n", where, "link", "set", name, "up")
            _ip("-n", host.namespace, "route", "add", "default", "via", f"10.0.{place}.1")
        yield Network(router, hosts)


def _make(stack: contextlib.ExitStack, namespace: str) -> None:
    _ip("netns", "add", namespace)
    stack.callback(_ip, "netns", "del", namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _enter(file: Path) -> None:
    with file.open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
