"""A call as it is received: what Django would read of the same environ, and what a signature covers."""

from io import BytesIO
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from hypothesis import given
from hypothesis import strategies as st

from web.requests.received import call_in

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "wsgi.url_scheme": "http",
    "PATH_INFO": "/a b/\u00c3\u00a9",
    "QUERY_STRING": "x=%20",
    "REMOTE_ADDR": "192.0.2.1",
    "HTTP_HOST": "api.example",
    "HTTP_X_API_KEY": "k",
    "CONTENT_TYPE": "text/plain",
    "CONTENT_LENGTH": "",
}


def test_a_call_has_the_fields_of_the_environ():
    call = call_in({**ENVIRON})
    assert (call.method, call.scheme, call.host, call.address) == ("GET", "http", "api.example", "192.0.2.1")
    assert (call.path, call.target, call.query) == ("/a b/\u00e9", "/a%20b/%C3%A9", "x=%20")
    assert call.headers == {"host": "api.example", "x-api-key": "k", "content-type": "text/plain"}
    assert call_in({**ENVIRON, "REQUEST_URI": "/a%2fb?x=1"}).target == "/a%2fb"


def test_a_call_is_received_once():
    environ = {**ENVIRON}
    call = call_in(environ)
    environ["HTTP_X_API_KEY"] = environ["QUERY_STRING"] = "changed"
    assert call_in(environ) is call


def test_the_repr_has_no_secrets():
    assert repr(call_in({**ENVIRON, "PATH_INFO": "/a"})) == "ReceivedCall(GET /a from 192.0.2.1)"


@given(st.binary(max_size=30).map(lambda path: b"/" + path))
def test_a_path_is_read_as_django_reads_it(path: bytes):
    environ = {**ENVIRON, "PATH_INFO": path.decode("latin-1"), "wsgi.input": BytesIO()}
    assert call_in(environ).path == WSGIRequest({**environ}).path_info
