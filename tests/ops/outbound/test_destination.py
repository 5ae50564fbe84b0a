"""Calls over real sockets: times, sizes, repeated attempts, the breaker, and what errors say."""

import logging
import time
import traceback

import pytest

from ops.outbound.destination import Destination, Limits
from ops.outbound.exceptions import (
    AnswerCut,
    AnswerMalformed,
    AnswerTooLarge,
    BreakerOpen,
    DestinationRefused,
    DestinationUnavailable,
    OutboundError,
    UnexpectedStatus,
)
from ops.outbound.pace import Pace
from tests.ops.outbound.hostile_server import (
    Behaviour,
    Server,
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
from tests.ops.test_breaker import Clock

SECRET = "md_abcdef_0123456789secret"
QUICK = Limits(connect=0.5, read=0.2, total=3, attempts=1)


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http",), LOOPBACK


def to(server: Server, limits: Limits = QUICK) -> Destination:
    return Destination("source", server.url, headers={"X-API-Key": SECRET}, limits=limits)


def read(destination: Destination, path: str = "/", **options) -> bytes:
    with destination.stream(path, **options) as answer:
        return b"".join(answer.pieces)


def test_an_answer_is_read_in_pieces_with_its_headers():
    with served(says(b"x" * 200_000, X_Commit="trades=1-ab")) as server:
        with to(server).stream("/a", params={"b": "c d"}, headers={"Accept": "text/plain"}) as answer:
            assert (answer.status, answer.headers["x-commit"]) == (200, "trades=1-ab")
            assert sum(map(len, answer.pieces)) == 200_000
        path, headers = server.calls[0]
    assert path == "/a?b=c+d"
    assert (headers["X-API-Key"], headers["Accept"], headers["Accept-Encoding"]) == (
        SECRET,
        "text/plain",
        "identity",
    )
    assert headers["Host"] == server.url.removeprefix("http://")


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    with served(says(b"proxy")) as proxy, served(says(b"source")) as server:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert read(to(server)) == b"source"
        assert proxy.calls == []


@pytest.mark.parametrize(
    ("behave", "error", "said"),
    [
        (hangs, DestinationUnavailable, "ReadTimeout"),
        (drips_headers, DestinationUnavailable, "no answer"),
        (drips, AnswerCut, "ReadTimeout"),
        (cuts(b"half"), AnswerCut, "RemoteProtocolError"),
        (cuts(b"half", chunked=False), AnswerCut, "RemoteProtocolError"),
        (endless, AnswerTooLarge, "1,000,000 bytes"),
        (says(b"x" * 1_000_001), AnswerTooLarge, "1,000,000 bytes"),
        (says(b"", 500), DestinationUnavailable, "500"),
        (says(b"", 503, Retry_After="7"), DestinationUnavailable, "503"),
        (says(b'{"code":"missing_scope"}', 403), UnexpectedStatus, "403"),
        (says(b"\x1f\x8b", Content_Encoding="gzip"), AnswerMalformed, "compressed"),
        (lambda call: call.wfile.write(b"SSH-2.0-x\r\n\r\n"), DestinationUnavailable, "no answer"),
        (lambda call: call.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"a" * 300_000), DestinationUnavailable, "no answer"),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_an_error_of_its_own(behave: Behaviour, error: type[OutboundError], said: str):
    limits = Limits(connect=0.5, read=0.2, total=0.6, attempts=1, max_bytes=1_000_000)
    began = time.monotonic()
    with served(behave) as server, pytest.raises(error, match=said) as raised:
        read(to(server, limits))
    assert type(raised.value) is error
    assert time.monotonic() - began < 20
    assert_says_nothing_secret(raised.value)


def assert_says_nothing_secret(error: BaseException) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert SECRET not in told


def test_nobody_there_is_unavailable():
    with served(says(b"")) as server:
        pass
    with pytest.raises(DestinationUnavailable):
        read(to(server))


def test_an_error_in_the_midst_of_the_answer_comes_after_the_bytes_before_it():
    with served(cuts(b"half")) as server:
        got: list[bytes] = []
        with pytest.raises(AnswerCut), to(server).stream("/") as answer:
            got += answer.pieces
    assert got == [b"half"]


def test_the_first_bytes_of_a_refusal_are_kept_for_the_caller():
    with served(says(b'{"code":"missing_scope"}' + b" " * 100_000, 403)) as server:
        with pytest.raises(UnexpectedStatus) as refused:
            read(to(server))
    assert refused.value.body.startswith(b'{"code":"missing_scope"}')
    assert len(refused.value.body) <= 4096
    assert "missing_scope" not in str(refused.value)


def test_a_form_is_posted():
    with served(says(b"rows")) as server:
        with to(server).stream("/rows", form={"symbols": "A,B"}) as answer:
            assert b"".join(answer.pieces) == b"rows"
        ((headers, body),) = server.posts
    assert (headers["Content-Type"], body) == ("application/x-www-form-urlencoded", b"symbols=A%2CB")


def test_json_is_read_and_bounded():
    with served(
        in_turn([says(b'{"a":[1]}'), says(b"{"), says(b"[" * 100_000), says(b" " * (2**20 + 1))])
    ) as server:
        assert to(server).get_json("/")[0] == {"a": [1]}
        for error in (AnswerMalformed, AnswerMalformed, AnswerTooLarge):
            with pytest.raises(error):
                to(server).get_json("/")


# Attempts


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """The seconds of each wait; none is waited."""
    found: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", found.append)
    return found


def test_failed_attempts_are_repeated_until_one_is_answered(slept):
    behave = in_turn([says(b"", 500), says(b"", 429, Retry_After="2"), says(b"yes")])
    with served(behave) as server:
        assert read(to(server, Limits(attempts=3))) == b"yes"
        assert len(server.calls) == 3
    jittered, asked = (seconds for seconds in slept if seconds)
    assert 0 <= jittered <= 0.25
    assert asked == 2


def test_refusals_are_not_repeated(slept):
    with served(says(b"", 404)) as server:
        with pytest.raises(UnexpectedStatus):
            read(to(server, Limits(attempts=3)))
        assert len(server.calls) == 1


@pytest.mark.parametrize("asked", ["31", "99999999999999999999", "Sun, 22 Nov 2099 00:00:00 GMT"])
def test_a_long_retry_after_is_left_to_the_caller(slept, asked: str):
    with served(says(b"", 503, Retry_After=asked)) as server:
        with pytest.raises(DestinationUnavailable) as raised:
            read(to(server, Limits(attempts=3)))
        assert len(server.calls) == 1
    assert (raised.value.retry_after or 0) > 30


@pytest.mark.parametrize("asked", ["", "soon", "-1", "٣", "Sun, 22 Nov 1999 00:00:00 GMT", "1e9"])
def test_a_retry_after_that_says_nothing_is_passed_over(slept, asked: str):
    header = {"Retry_After": asked} if asked.isascii() else {}
    with served(in_turn([says(b"", 503, **header), says(b"yes")])) as server:
        assert read(to(server, Limits(attempts=2))) == b"yes"
    assert max(slept) <= 0.25


def test_no_attempt_is_waited_for_beyond_the_total_time(slept):
    with served(says(b"", 503, Retry_After="5")) as server:
        with pytest.raises(DestinationUnavailable):
            read(to(server, Limits(attempts=9, total=4)))
        assert len(server.calls) == 1


def test_a_pace_spaces_the_attempts():
    pace = Pace(4)
    assert [pace.delay(now) for now in (10.0, 10.0, 10.1, 20.0)] == [0, 0.25, pytest.approx(0.4), 0]
    assert [Pace(None).delay(now) for now in (1.0, 1.0)] == [0, 0]
    with pytest.raises(ValueError, match="above zero"):
        Pace(0)


# The breaker


def test_after_failures_in_a_row_none_is_asked_and_later_again(monkeypatch):
    limits = Limits(connect=0.5, read=0.2, total=3, attempts=1, failures=2, open_seconds=60)
    behave = in_turn([says(b"", 500), cuts(b"half"), says(b"", 500), says(b"yes")])
    clock = Clock()
    with served(behave) as server:
        asked = to(server, limits)
        monkeypatch.setattr(asked._breaker, "_clock", clock)
        for error in (DestinationUnavailable, AnswerCut, BreakerOpen, BreakerOpen):
            with pytest.raises(error) as raised:
                read(asked)
            assert type(raised.value) is error
        assert len(server.calls) == 2
        clock.now += 61
        with pytest.raises(DestinationUnavailable):
            read(asked)  # the trial fails: open again
        with pytest.raises(BreakerOpen):
            read(asked)
        assert len(server.calls) == 3
        clock.now += 61
        assert [read(asked), read(asked)] == [b"yes", b"yes"]


def tell_otherwise(destination: Destination) -> None:
    """Turn the destination's error into one of the caller's, as a caller may do."""
    with destination.stream("/") as answer:
        try:
            list(answer.pieces)
        except AnswerCut as error:
            raise RuntimeError("told otherwise") from error


def test_a_failure_counts_however_the_caller_tells_it():
    with served(cuts(b"half")) as server:
        asked = to(server, Limits(attempts=1, failures=1))
        with pytest.raises(RuntimeError):
            tell_otherwise(asked)
        with pytest.raises(BreakerOpen):
            read(asked)


def test_a_failure_of_another_destination_does_not_count():
    with served(says(b"", 500)) as bad, served(says(b"yes")) as good:
        asked = Destination("good", good.url, limits=Limits(attempts=1, failures=1))
        with pytest.raises(DestinationUnavailable), asked.stream("/"):
            read(to(bad))
        assert read(asked) == b"yes"


@pytest.mark.parametrize(
    "limits", [{"total": "600"}, {"attempts": 0}, {"read": -1}, {"max_bytes": None}, {"rate": 0}]
)
def test_limits_are_numbers_above_zero(limits):
    with pytest.raises(ValueError, match="above zero"):
        Limits(**limits)


def test_refusals_and_errors_of_the_caller_do_not_open_it():
    with served(in_turn([says(b"", 404), says(b"yes")])) as server:
        asked = to(server, Limits(attempts=1, failures=1))
        with pytest.raises(UnexpectedStatus):
            read(asked)
        with pytest.raises(ZeroDivisionError), asked.stream("/"):
            raise ZeroDivisionError
        assert read(asked) == b"yes"


def test_calls_of_one_destination_run_side_by_side():
    with served(says(b"yes")) as server:
        asked = to(server)
        with asked.stream("/") as one, asked.stream("/") as two:
            assert (b"".join(one.pieces), b"".join(two.pieces)) == (b"yes", b"yes")


# Credentials


@pytest.mark.parametrize("end", ["\n", "\r\nX-Other: 1", "\x00", " ", "é"])
def test_a_credential_that_is_no_header_is_refused_without_quoting_it(end: str):
    with pytest.raises(DestinationRefused) as refused:
        Destination("source", "https://example.com", headers={"X-API-Key": SECRET + end})
    assert_says_nothing_secret(refused.value)


def test_no_credential_is_logged_at_any_level(caplog):
    caplog.set_level(logging.DEBUG)
    with served(in_turn([says(SECRET.encode()), says(SECRET.encode(), 403, Set_Cookie=SECRET)])) as server:
        asked = to(server)
        read(asked, params={"token": SECRET})
        with pytest.raises(UnexpectedStatus) as refused:
            read(asked)
    assert SECRET not in caplog.text
    assert SECRET not in repr(asked) + str(refused.value) + repr(refused.value)
