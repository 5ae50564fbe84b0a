"""What is no HTTP, or only just: requests that end nowhere, credentials that are none, files that are not offered, pages for browsers."""

import html
import random
import re
import socket
from secrets import token_hex

import pytest

from ratelimit.access.scopes import ALL_SCOPES
from tests.chance import SOAK
from tests.front.front_server import Reply, eventually, read_reply
from tests.hostile import callers
from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.hostile.operations import JSON, Operation, valid_call
from tests.hostile.wire import Wire, checked, code
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("hostile")

OHLC = "/api/v1/stats/ohlc?symbol=AAPL"
INGEST = "/api/v1/trades/ingest"
GET = b"GET /api/v1/stats/ohlc?symbol=AAPL HTTP/1.1\r\nHost: h\r\n"
BARE = b"%s /api/v1/stats/ohlc?symbol=AAPL HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /api/v1/trades/ingest HTTP/1.1\r\nHost: h\r\n"
BROKEN = {
    "another version": b"GET / HTTP/3.0\r\nHost: h\r\n\r\n",
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: h\r\n\r\n",
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "a control in the path": b"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "UTF-8 in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
    "no colon": GET + b"X-A\r\n\r\n",
    "a space before the colon": GET + b"X-A : b\r\n\r\n",
    "a folded header": GET + b"X-A: b\r\n c\r\n\r\n",
    "NUL in a header": GET + b"X-A: b\x00c\r\n\r\n",
    "CR in a header": GET + b"X-A: b\rc\r\n\r\n",
    "lines that end with LF": b"GET / HTTP/1.1\nHost: h\n\n",
    "lines that end with CR": b"GET / HTTP/1.1\rHost: h\r\r",
    "two hosts": GET + b"Host: i\r\n\r\n",
    "a chunk of letters": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk longer than any": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "a chunk that is longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "a chunk of a negative length": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "noise": bytes(range(256)),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 32,
}
KEYS = [
    {"X-API-Key": ""}, {"X-API-Key": " "}, {"X-API-Key": "md_"}, {"X-API-Key": "md_\u00e9\u0661"}, {"X-API-Key": b"\xff\xfe"}, {"X-API-Key": "a" * 5_000},
    {"X-API-Key": "md_aaaaaaaa_" + "a" * 40}, {"X-API-Key": "md_' OR 1=1 --"}, {"Authorization": "Api-Key"}, {"Authorization": "Api-Key "}, {"Authorization": "Basic Og=="},
    {"Authorization": "Bearer null"}, {"Authorization": b"Api-Key \xff"}, {"Authorization": "Api-Key a b"}, {"Authorization": ","}, {"Cookie": "sessionid=" + "a" * 32},
    {"Cookie": "sessionid=%00"}, {"Cookie": b"sessionid=\xff\x80; csrftoken=\xff"}, {"Cookie": "=;=;;sessionid"}, {"Cookie": 'sessionid="\\777\\"'},
]  # fmt: skip
# The token of a link is all that a download reads.
WITHOUT_KEY = {"download"}
OF_OAUTH2 = {"oauth_token", "oauth_revoke"}
# Their bodies are as long as the time of the moment has digits.
TELL_THE_TIME = re.compile(r"clock|performance|\w+_commits")
# Of itself it tells now and then that Redis was away for a moment and is back, and how far the chain of the
# audit has come.
# A fetch that another test queued has no internet here, and is tried again.
OF_ITSELF = re.compile(
    r" (WARNING|INFO) (\S+ \[\S+\] Redis is (away|back)|audit\.services \[-\] audit head|jobs\.run \[\S+\] job \S+ (\(fetch\) starts|failed \(source_failed\)))"
)
FILES = [
    "/static/../../../../../../etc/passwd", "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd", "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/%00", "//etc/passwd",
    "/static/admin%5c..%5c..", "/static/admin/css", "/static/", "/static/" + "a/" * 2_000, "/style.css/../../manage.py", "/docs/..%2f..%2fmanage.py", "/.git/config", "/data/secret_key",
    "/admin/%00", "/admin/../manage.py", "/login/%ff", "/schema/..%2f", "/%2e%2e/%2e%2e/etc/passwd", "/proc/self/environ", "/file:///etc/passwd", "/http://127.0.0.1/",
]  # fmt: skip
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "javascript:alert(1)",
    "</textarea><script>alert(2)</script>",
    "{{7*7}}{% debug %}",
]


def asked(port: int, request: bytes) -> Reply:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request)
        return read_reply(connection)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_http_is_400(wire: Wire, name: str):
    reply = checked(asked(wire.port, BROKEN[name]), name)
    assert (reply.status, code(reply)) in {(400, "malformed_request"), (400, "invalid_host")}


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE"])
@pytest.mark.parametrize(("has_key", "status"), [(True, 405), (False, 401)], ids=["key", "no key"])
def test_a_method_of_http_that_no_path_has_is_refused_as_one(
    wire: Wire, method: str, has_key: bool, status: int
):
    reply = checked(wire.ask(method, OHLC) if has_key else asked(wire.port, BARE % method.encode()), method)
    assert (reply.status, reply.headers["allow"]) == (status, "GET, HEAD, OPTIONS")


def test_trailers_without_end_cost_no_memory(wire: Wire, gauge: Gauge, told: Told):
    gauge.forget_peak()
    before = gauge.resident_mib()
    head = wire.request("POST", INGEST, {"Transfer-Encoding": "chunked", "Content-Type": JSON}, None)
    with socket.create_connection(("127.0.0.1", wire.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head + b"2\r\n{}\r\n0\r\n")
        sent = 0
        try:
            while sent < 50 * 2**20:
                sent += connection.send(b"X-T: a\r\n" * 10_000)
        except ConnectionError:
            pass
    told("9 trailers without end", f"cut off, peak {gauge.peak_mib() - before:+.1f} MiB")
    assert sent < 50 * 2**20
    assert gauge.peak_mib() - before < 20


@pytest.mark.parametrize("credentials", KEYS, ids=repr)
def test_what_is_no_key_is_401(
    wire: Wire, operations: list[Operation], rng: random.Random, credentials: dict[str, str | bytes]
):
    stranger = Wire(wire.port, None)
    with_key = [each for each in operations if each.name not in WITHOUT_KEY]
    for operation in with_key if SOAK else rng.sample(with_key, 5):
        call = valid_call(operation, rng)
        call.headers = dict(credentials)
        reply = checked(call.sent(stranger), (operation.name, credentials))
        if operation.name in OF_OAUTH2 and reply.status == 400:
            # RFC 6749, 5.2: a request that is malformed, be it in its Authorization.
            assert reply.json()["error"] == "invalid_request"
            continue
        assert reply.status == 401, (operation.name, credentials)
        assert reply.headers["www-authenticate"]
    stranger.close()


@pytest.mark.parametrize("target", FILES)
def test_no_file_is_served_that_is_not_offered(wire: Wire, target: str):
    reply = checked(wire.ask("GET", target), target)
    assert reply.status in {302, 400, 404}
    assert b"root:" not in reply.body
    assert b"execute_from_command_line" not in reply.body


def test_head_and_options_say_what_get_would(wire: Wire, operations: list[Operation], rng: random.Random):
    for operation in operations if SOAK else rng.sample(operations, len(operations) // 3):
        call = valid_call(operation, rng)
        call.method = "OPTIONS"
        reply = checked(call.sent(wire), (operation.name, "OPTIONS"))
        assert reply.status == 200
        assert operation.method in reply.headers["allow"].replace(",", " ").split()
        if operation.method == "GET":
            call.method = "GET"
            before = call.sent(wire)
            call.method = "HEAD"
            reply = call.sent(wire)
            call.method = "GET"
            # Between two of them a key may have been used, which changes what is said of it.
            lengths = {each.headers.get("content-length") for each in (before, call.sent(wire))}
            assert (reply.status, reply.body) == (before.status, b""), operation.name
            if TELL_THE_TIME.fullmatch(operation.name) is None:
                assert reply.headers.get("content-length") in lengths, operation.name


def test_a_page_for_a_browser_holds_nothing_of_the_senders_own_making(
    wire: Wire, operations: list[Operation], rng: random.Random, told: Told
):
    pages = 0
    for operation in operations if SOAK else rng.sample(operations, 10):
        for parameter in [*operation.of_place("query"), *operation.of_place("path")]:
            text = rng.choice(MARKUP)
            call = valid_call(operation, rng)
            call.headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
            if parameter.place == "path":
                call.path_values[parameter.name] = text
            elif parameter.name != "format":
                call = call.with_query(parameter.name, text)
            reply = call.sent(wire)
            assert reply.status < 500, (call, reply)
            if reply.headers["content-type"].startswith("text/html"):
                pages += 1
                shown = reply.body.decode()
                assert text not in shown or html.escape(text) == text, (
                    call,
                    shown[max(0, shown.index(text) - 200) :][:600],
                )
                assert "49{%" not in shown
    told("10 pages for browsers", f"{pages} pages, no markup of the sender's")
    assert pages >= 10


FRAMINGS = [b"Content-Length: 20000", b"Transfer-Encoding: chunked"]


@pytest.mark.parametrize("framing", FRAMINGS, ids=["length", "chunked"])
@pytest.mark.parametrize("grant", [ALL_SCOPES, "audit:read"], ids=["may store", "may not store"])
def test_a_call_whose_client_goes_before_its_body_is_recorded_with_its_caller(
    installation: Installation, framing: bytes, grant: str
):
    """Whoever finds a key would learn from `100 Continue` whether it may store, and leave no trace."""
    key, call_id = callers.key_with(installation, grant), f"torn-{token_hex(8)}"
    head = f"Expect: 100-continue\r\nX-API-Key: {key}\r\nX-Correlation-ID: {call_id}\r\n".encode()
    with socket.create_connection(("127.0.0.1", installation.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(POST + framing + b"\r\n" + head + b"\r\n")
        told_of = connection.recv(100).split()[1]
    assert eventually(lambda: installation.audited(call_id))
    (record,) = installation.audited(call_id)
    assert record["caller"].startswith("key:")
    assert (record["method"], record["path"]) == ("POST", INGEST)
    assert record["status"] == (499 if told_of == b"100" else 403)


def test_no_client_can_write_into_the_log(wire: Wire, installation: Installation):
    """A line for each mistake of a client would fill any disk."""
    output = installation.served.output
    before = len(output.read_text())
    for request in BROKEN.values():
        asked(wire.port, request)
    for _ in range(50):
        wire.ask("GET", "/api/v1/%0aERROR forged%0d%0a", {"X-Correlation-ID": "a b"})
        wire.ask("GET", f"{OHLC}&start=%0aERROR%20forged")
    said = output.read_text()[before:].splitlines()
    assert [line for line in said if "forged" in line or OF_ITSELF.search(line) is None] == []
