"""A client that sends exactly the bytes it is given, valid HTTP or not, and looks at every refusal that comes back."""

import socket
from collections.abc import Mapping, Set
from http.client import BadStatusLine, HTTPResponse

import orjson

from marketdata_project.error_shapes import error_status
from tests.api_client import DECLARED
from tests.front.front_server import Reply
from tests.patience import PATIENCE_SECONDS

MEMBERS = {"type", "title", "status", "code", "message", "detail", "correlation_id", "errors"}
# Of the errors of dialects, by the beginnings of their paths.
ALPACA = {"code", "message", "reason", "correlation_id", "errors"}
UDF = {"s", "errmsg", "reason", "correlation_id", "errors"}
DECLARED_BY_ALPACA = {(error_status(status, code, "/api/v2/"), code) for status, code in DECLARED}
# What refusals of trading have besides.
OF_TRADING = {"checks", "preview", "order_id"}
LONGEST_REFUSAL = 64 * 1024
# Of a Python traceback, of a Django error page, of the program's own paths.
INTERNALS = (b"Traceback", b'File \\"', b'.py\\"', b"<html", b"site-packages", b"0x7f")
# Of the installation that is asked: no answer holds one of them.
SECRETS: set[bytes] = set()
# RFC 6749, 5.2 and RFC 7009, 2.2.1.
OAUTH_ERRORS = frozenset(
    {
        "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
        "invalid_scope", "unsupported_token_type",
    }
)  # fmt: skip
# Answers of those who look at a request before it is known what it asks for.
BEFORE_VALIDATION = frozenset(
    {
        "forbidden", "header_too_long", "headers_too_large", "invalid_host", "target_too_long", "too_many_headers", "too_many_parameters", "malformed_request", "method_not_allowed", "not_acceptable",
        "not_authenticated", "not_found", "rate_limited", "request_timeout", "unsupported_media_type",
        "malformed_json", "malformed_ndjson", "malformed_csv", "malformed_msgpack", "malformed_arrow",
    }
)  # fmt: skip


class Wire:
    """One connection, opened when it is needed and kept as long as the server keeps it."""

    def __init__(self, port: int, key: str | None) -> None:
        self.port = port
        self._key = {} if key is None else {"X-API-Key": key}
        self._socket: socket.socket | None = None

    def ask(
        self,
        method: str,
        target: str | bytes,
        headers: Mapping[str, str | bytes] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """One answer, followed to its end. Texts go as UTF-8, nothing is quoted or checked."""
        request = self.request(method, target, headers or {}, body)
        is_new = self._socket is None
        try:
            return self._exchange(method, request)
        except (ConnectionError, BadStatusLine):
            self.close()
            if is_new:
                raise
            return self._exchange(method, request)

    def request(
        self, method: str, target: str | bytes, headers: Mapping[str, str | bytes], body: bytes | None
    ) -> bytes:
        """The request's bytes; a header of the same name takes the place of one that every request has."""
        lines: dict[str, str | bytes] = {"Host": "127.0.0.1", **self._key}
        if body is not None:
            lines["Content-Length"] = str(len(body))
        lines.update(headers)
        head = b"".join(b"%s: %s\r\n" % (_bytes(name), _bytes(value)) for name, value in lines.items())
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (_bytes(method), _bytes(target), head, body or b"")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, method: str, request: bytes) -> Reply:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        self._socket.sendall(request)
        with HTTPResponse(self._socket, method=method) as response:
            response.begin()
            content = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
            if response.will_close:
                self.close()
        return Reply(response.status, headers, content)


def checked(
    reply: Reply, asked: object, *, known_failures: tuple[int, ...] = (), members: Set[str] = MEMBERS
) -> Reply:
    """The answer, after a look at it: no failure of the server, and every refusal a whole problem without internals.

    members: what a refusal has.
    """
    assert reply.status < 500 or reply.status in known_failures, (asked, reply.status, reply.body[:500])
    assert not [
        secret for secret in SECRETS if secret in reply.body or secret in repr(reply.headers).encode()
    ], asked
    if reply.status < 400 or is_of_oauth(reply):
        return reply
    said = (asked, reply.status, reply.headers, reply.body[:500])
    problem, is_ours = orjson.loads(reply.body), members == MEMBERS
    content_type = "application/problem+json" if is_ours else "application/json"
    assert reply.headers["content-type"] == content_type, said
    assert set(problem) - (OF_TRADING if is_ours else set()) == members, said
    if is_ours:
        assert (problem["status"], problem["detail"]) == (reply.status, problem["message"]), said
    assert isinstance(problem.get("code"), int) == (members == ALPACA), said
    assert (reply.status, code(reply)) in (DECLARED_BY_ALPACA if members == ALPACA else DECLARED), said
    assert problem["correlation_id"] == reply.headers["x-correlation-id"], said
    assert problem["errmsg" if "errmsg" in members else "message"], said
    assert len(problem["errors"]) <= 100, said
    assert len(reply.body) <= LONGEST_REFUSAL, said
    assert not [word for word in INTERNALS if word in reply.body and word not in _asked_bytes(asked)], said
    return reply


def is_of_oauth(reply: Reply) -> bool:
    """Whether it is an error of OAuth2, which has a form of its own."""
    if reply.status not in (400, 401) or reply.headers["content-type"] != "application/json":
        return False
    error = orjson.loads(reply.body)
    return set(error) <= {"error", "error_description"} and error["error"] in OAUTH_ERRORS


def code(reply: Reply) -> str:
    """The code of a refusal, '' of any other answer."""
    if reply.status < 400:
        return ""
    said = orjson.loads(reply.body)
    found: str = said["error"] if is_of_oauth(reply) else said.get("reason") or said["code"]
    return found


def reached_validation(reply: Reply) -> bool:
    """Whether a parsed request was looked at by the operation that it was for."""
    return code(reply) not in BEFORE_VALIDATION


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _asked_bytes(asked: object) -> bytes:
    """What was sent, as far as it may come back in an answer."""
    return repr(asked).encode("utf-8", "surrogatepass")
