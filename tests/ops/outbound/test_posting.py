"""POSTs to URLs that users chose: where none may go, and what is learned of an answer."""

import socket
import time
from pathlib import Path

import pytest

from ops.outbound.destination import Limits
from ops.outbound.exceptions import DestinationRefused, DestinationUnavailable
from ops.outbound.posting import PostAnswer, Poster, check_target
from tests.ops.outbound.hostile_server import (
    cuts,
    drips,
    drips_headers,
    endless,
    hangs,
    in_turn,
    says,
    served,
)
from tests.ops.outbound.test_addresses import LOOPBACK

QUICK = Limits(connect=0.5, read=0.3, total=0.6, attempts=1)
SECRET = "topsecret"


def test_a_receiver_has_the_seconds_that_the_pages_promise():
    with Poster("webhook", "https://receiver.example/") as poster:
        limits = poster._limits
    assert limits.read == limits.total
    assert f"within {limits.total} seconds" in Path("docs/webhooks.md").read_text()


def post(url: str) -> PostAnswer:
    with Poster("webhook", url, limits=QUICK) as poster:
        return poster.post(b"{}", {"webhook-id": SECRET})


@pytest.fixture
def _loopback_is_allowed(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK


NUMERIC = [
    "127.0.0.1", "127.1", "0", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "169.254.169.254", "[fd00::]", "100.64.0.1", "10.0.0.1", "[fe80::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", [*NUMERIC, "localhost", "localhost.", "127.0.0.1."])
def test_no_connection_goes_to_an_address_that_is_not_public(settings, host: str):
    settings.OUTBOUND_SCHEMES = ("http", "https")
    with served(says(b"inside")) as server:
        with pytest.raises((DestinationRefused, DestinationUnavailable)) as refused:
            post(f"http://{host}:{server.port}/?key={SECRET}")
        assert server.connections == 0
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("host", NUMERIC)
def test_numbers_are_refused_before_anything_is_sent(host: str):
    with pytest.raises(DestinationRefused):
        check_target("webhook", f"https://{host}/x?key=1")


def test_names_and_queries_are_accepted_as_targets(monkeypatch):
    check_target("webhook", "https://receiver.example/hook?key=1")
    check_target("webhook", "https://8.8.8.8/hook")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://127.0.0.1:1/_X", "ftp://example.com/", "https://user@example.com/", "https://u:topsecret@example.com/",
        "https://example.com/#x", "http://example.com/", "https://", "", "//example.com/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_a_url_that_is_no_target_is_refused_without_quoting_it(url: str):
    for refused_by in (lambda: check_target("webhook", url), lambda: Poster("webhook", url).post(b"", {})):
        with pytest.raises(DestinationRefused) as refused:
            refused_by()
        assert SECRET not in str(refused.value)


def test_a_name_that_leads_inwards_is_not_connected_to(settings, monkeypatch):
    settings.OUTBOUND_SCHEMES = ("http",)
    # The name is looked up once for each call, and the address that was checked is connected to.
    answers = ["127.0.0.1", "8.8.8.8"]
    with served(says(b"inside")) as server:

        def getaddrinfo(host, port, *args, **options):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        url = f"http://rebinding.test:{server.port}/"
        check_target("webhook", url)
        with pytest.raises(DestinationRefused, match="not public"):
            post(url)
        assert server.connections == 0
    assert answers == ["8.8.8.8"]


@pytest.mark.usefixtures("_loopback_is_allowed")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_of_a_post_is_followed(status: int):
    with served(says(b"inside")) as inside, served(says(b"", status, Location=inside.url)) as server:
        assert post(server.url).status == status
        assert (inside.connections, server.connections) == (0, 1)


@pytest.mark.usefixtures("_loopback_is_allowed")
@pytest.mark.parametrize(
    ("behave", "answer"),
    [
        (says(b"thanks", 200), (200, b"thanks", None)),
        (says(b"x" * 5000, 410), (410, b"x" * 1024, None)),
        (says(b"later", 503, Retry_After="120"), (503, b"later", 120.0)),
        (endless, (200, b"x" * 1024, None)),
        (cuts(b"half"), (200, b"half", None)),
    ],
    ids=["small", "large", "later", "endless", "cut"],
)
def test_an_answer_is_known_by_status_beginning_and_retry_after(behave, answer):
    with served(behave) as server:
        found = post(f"{server.url}/hook?a=b")
        assert (found.status, found.body, found.retry_after) == answer
        assert server.calls[0][0] == "/hook?a=b"
        assert [body for _, body in server.posts] == [b"{}"]


@pytest.mark.usefixtures("_loopback_is_allowed")
@pytest.mark.parametrize(
    "behave", [hangs, drips_headers, lambda call: None], ids=["hangs", "drips", "closes"]
)
def test_a_receiver_without_an_answer_is_an_error_in_time(behave):
    began = time.monotonic()
    with served(behave) as server, pytest.raises(DestinationUnavailable) as failed:
        post(f"{server.url}/{SECRET}")
    assert time.monotonic() - began < 20
    assert SECRET not in str(failed.value)


@pytest.mark.usefixtures("_loopback_is_allowed")
def test_a_dripping_body_is_cut_off_and_one_attempt_is_made():
    with served(drips) as server:
        assert post(server.url).status == 200
        assert len(server.calls) == 1
    with served(in_turn([says(b"", 500), says(b"", 200)])) as server:
        assert post(server.url).status == 500
        assert len(server.calls) == 1


@pytest.mark.usefixtures("_loopback_is_allowed")
def test_nobody_there_is_an_error():
    with served(says(b"")) as server:
        url = server.url
    with pytest.raises(DestinationUnavailable, match="ConnectError"):
        post(url)


@pytest.mark.usefixtures("_loopback_is_allowed")
def test_a_kept_connection_that_the_receiver_closed_is_no_failure():
    with served(says(b"ok")) as server, Poster("webhook", server.url, limits=QUICK) as poster:
        # This server closes each connection, and does not say so before.
        assert [poster.post(b"{}", {}).status for _ in range(50)] == [200] * 50
