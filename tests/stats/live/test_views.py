"""Requests to the live feed that ask for no WebSocket."""

import pytest

from tests.api_client import Api, answer, make_key, problem
from tests.front.front_server import ask, running

STREAM = "/ws/v1/stream"


@pytest.mark.parametrize("path", [STREAM, f"{STREAM}/"])
def test_a_plain_request_is_told_to_upgrade(api: Api, path: str):
    response = api.get(path)
    assert problem(response) == (426, "upgrade_required")
    assert "WebSocket" in answer(response)["message"]


def test_but_only_to_who_may_read(api: Api):
    assert problem(Api(None).get(STREAM)) == (401, "not_authenticated")
    writer = Api(make_key(scopes=("market:write",)))
    assert problem(writer.get(STREAM)) == (403, "missing_scope")
    assert problem(api.call("POST", STREAM)) == (405, "method_not_allowed")


def test_the_front_names_the_protocol(api: Api):
    response = api.get(STREAM)
    with running(lambda _environ: response) as port:
        reply = ask(port, b"GET /ws/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.status == 426
    assert (reply.headers["upgrade"], reply.headers["connection"].lower()) == ("websocket", "upgrade")
