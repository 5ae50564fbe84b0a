"""Whom the program may ask: the forms by which an address is hidden, and names that change their address."""

import socket
from ipaddress import ip_network

import httpcore
import pytest

from ops.outbound.addresses import is_allowed
from ops.outbound.destination import Destination, Limits
from ops.outbound.exceptions import DestinationRefused, DestinationUnavailable, UnexpectedStatus
from tests.ops.outbound.hostile_server import says, served

ONCE = Limits(connect=1, read=1, total=5, attempts=1)
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]
NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1", "192.168.1.1", "198.18.0.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "2001::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "ff0e::1", "192.88.99.1", "3fff::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str):
    assert is_allowed(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_all_others_are_not(address: str):
    assert not is_allowed(address)


def test_a_network_of_the_settings_is_allowed_in_every_spelling(settings):
    settings.OUTBOUND_NETWORKS = LOOPBACK
    assert all(map(is_allowed, ("127.0.0.1", "::ffff:127.0.0.1", "::1")))
    assert not is_allowed("10.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "localhost."],
)  # fmt: skip
def test_no_spelling_of_the_loopback_is_connected_to(settings, host: str):
    settings.OUTBOUND_SCHEMES = ("http", "https")
    with served(says(b"inside")) as server:
        with pytest.raises((DestinationRefused, DestinationUnavailable)):
            with Destination("here", f"http://{host}:{server.port}", limits=ONCE).stream("/"):
                pass
        assert server.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com/", "file:///etc/passwd", "ftp://example.com/", "gopher://127.0.0.1:6379/_X", "https://",
        "https://user@example.com/", "https://user:secret@example.com/", "https://example.com/?key=secret", "https://example.com/#secret",
        "https://[::1", "javascript:alert(1)", "https://xn--/", "https://a..b/", "https://example.com:0/", "https://example.com:-1/",
        "https://example.com:99999/", "https://x .example/", "https://x%20.example/", 'https://x".example/', "https://*.example/",
    ],
)  # fmt: skip
def test_urls_that_are_no_base_are_refused_without_quoting_them(url: str):
    with pytest.raises(DestinationRefused) as refused:
        Destination("there", url)
    assert "secret" not in str(refused.value)


def test_plain_http_is_refused_unless_the_settings_allow_it(settings):
    settings.OUTBOUND_NETWORKS = LOOPBACK
    with served(says(b"yes")) as server:
        with pytest.raises(DestinationRefused, match="OUTBOUND_SCHEMES"):
            Destination("here", server.url)
        settings.OUTBOUND_SCHEMES = ("http",)
        with Destination("here", server.url, limits=ONCE).stream("/") as answer:
            assert b"".join(answer.pieces) == b"yes"


def addresses_of(monkeypatch, *answers: list[str]) -> list[str]:
    """Answer look-ups of `rebinding.test`, one after the other; the numbers that were connected to."""
    resolve, connected = socket.getaddrinfo, []
    left = list(answers)

    def getaddrinfo(host, port, *args, **options):
        if host != "rebinding.test":
            return resolve(host, port, *args, **options)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    def connect_tcp(self, host, *args, **options):
        connected.append(host)
        raise httpcore.ConnectError("nobody")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    return connected


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch):
    connected = addresses_of(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    with (
        pytest.raises(DestinationUnavailable),
        Destination("x", "https://rebinding.test", limits=ONCE).stream("/"),
    ):
        pass
    assert connected == ["8.8.8.8"]


def test_a_name_that_turns_inwards_between_two_attempts_is_refused(monkeypatch):
    connected = addresses_of(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    asked = Destination("x", "https://rebinding.test", limits=Limits(attempts=3, total=5))
    with pytest.raises(DestinationRefused, match="not public"), asked.stream("/"):
        pass
    assert connected == ["8.8.8.8"]


def test_one_address_inside_refuses_a_name(monkeypatch):
    connected = addresses_of(monkeypatch, ["8.8.8.8", "169.254.169.254"])
    with (
        pytest.raises(DestinationRefused),
        Destination("x", "https://rebinding.test", limits=ONCE).stream("/"),
    ):
        pass
    assert connected == []


def test_all_addresses_of_a_name_are_tried(monkeypatch):
    connected = addresses_of(monkeypatch, ["8.8.8.8", "8.8.4.4"])
    with (
        pytest.raises(DestinationUnavailable),
        Destination("x", "https://rebinding.test", limits=ONCE).stream("/"),
    ):
        pass
    assert connected == ["8.8.8.8", "8.8.4.4"]


@pytest.mark.parametrize("status", [302, 308])
def test_no_redirect_is_followed(settings, status: int):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK
    with served(says(b"inside")) as inside, served(says(b"", status, Location=f"{inside.url}/x")) as server:
        with (
            pytest.raises(UnexpectedStatus) as refused,
            Destination("r", server.url, limits=ONCE).stream("/"),
        ):
            pass
        assert refused.value.status == status
        assert inside.calls == []


@pytest.mark.parametrize("path", ["@evil.example/", "evil", ""])
def test_a_path_cannot_become_another_host(path: str):
    with pytest.raises(DestinationRefused), Destination("x", "https://example.com", limits=ONCE).stream(path):
        pass


def test_a_path_of_two_slashes_stays_with_its_host(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK
    with served(says(b"")) as server:
        with Destination("x", f"{server.url}/api", limits=ONCE).stream(
            "//evil.example/%2E%2E%2Fx", params={"a": "b&c"}
        ):
            pass
        assert [path for path, _ in server.calls] == ["/api//evil.example/%2E%2E%2Fx?a=b%26c"]
