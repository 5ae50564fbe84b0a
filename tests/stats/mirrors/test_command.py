"""`manage.py mirror` at origins that refuse, redirect, hang, drip, break off or lie: it ends, bounded, and says why."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ops.outbound.destination import Limits
from stats.mirrors import following, origin
from store.copies import encode_states
from store.csv import CsvStore
from store.datasets import TRADES
from store.walk_lines import walk_lines
from tests.ops.outbound.hostile_server import Call, served
from tests.store.builders import SYMBOL, batch, trade
from tests.store.csv.copying.origins import logs_of

pytestmark = pytest.mark.system

KEY = "md_secret0123456789"


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    store = CsvStore(tmp_path / "origin")
    store.append(batch(trade(1), trade(2)))
    store.append(batch(trade(3)))
    return store


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETDATA_KEY", KEY)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the test process keeps its own


def honest(store: CsvStore) -> Callable[[Call], None]:
    """An origin that answers as an installation does."""

    def answer(call: Call) -> None:
        assert call.headers["X-API-Key"] == KEY
        if "/copy" in call.path:
            call.begin(Content_Type="application/x-ndjson")
            for line in walk_lines(store.log(TRADES, SYMBOL)):
                call.wfile.write(line)
        else:
            call.begin(Content_Type="application/json")
            call.wfile.write(encode_states(store.log_states([SYMBOL])))

    return answer


def run(url: str, folder: Path, *options: str, symbols: tuple[str, ...] = (SYMBOL,)) -> str:
    out = StringIO()
    call_command("mirror", url, str(folder), *symbols, "--once", *options, stdout=out)
    return out.getvalue()


def test_once_copies_what_there_is(store: CsvStore, tmp_path: Path):
    head = store.log(TRADES, SYMBOL).head
    with served(honest(store)) as server:
        said = run(server.url, tmp_path / "mirror", symbols=("aapl", SYMBOL))
    assert said.splitlines() == [
        f"trades/AAPL: commit {head.token}, current",
        "1 logs, behind by 0 commits and 0 s at the origin's last answer, 0 s ago",
    ]
    assert logs_of(tmp_path / "mirror") == logs_of(tmp_path / "origin")


def test_a_key_file(store: CsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MARKETDATA_KEY")
    with served(honest(store)) as server:
        with pytest.raises(CommandError, match="give an API key in MARKETDATA_KEY"):
            run(server.url, tmp_path / "mirror")
        (tmp_path / "key").write_text(f"{KEY}\n")
        run(server.url, tmp_path / "mirror", "--key-file", str(tmp_path / "key"))
        with pytest.raises(CommandError, match="cannot be read"):
            run(server.url, tmp_path / "mirror", "--key-file", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1", "not https://HOST"),
        ("http://user:pass@127.0.0.1", "a user, a query"),
        ("http://192.0.2.7", "OUTBOUND_SCHEMES does not allow http"),
        ("http://127.0.0.1.evil.example", "OUTBOUND_SCHEMES does not allow http"),
    ],
)
def test_wrong_urls(tmp_path: Path, settings: Any, url: str, message: str):
    settings.OUTBOUND_SCHEMES = ["https"]
    with pytest.raises(CommandError, match=message):
        run(url, tmp_path / "mirror")


def test_a_wrong_symbol(tmp_path: Path):
    with pytest.raises(CommandError):
        run("http://127.0.0.1:9", tmp_path / "mirror", symbols=("../x",))
    assert not (tmp_path / "mirror").exists()


def _redirect(call: Call) -> None:
    call.begin(302, Location="http://127.0.0.1:9/")


def _refuse(call: Call) -> None:
    call.begin(403, Content_Type="application/problem+json")
    call.wfile.write(json.dumps({"code": "missing_scope", "message": "<script>"}).encode())


def _endless(call: Call) -> None:
    call.begin()
    while not call.server.over.is_set():
        call.wfile.write(b"x" * 2**20)


def _hang(call: Call) -> None:
    call.wait(30)


def _break_off(call: Call) -> None:
    call.begin(Content_Length="1000")
    call.wfile.write(b"{")


def _swell(call: Call) -> None:
    call.begin(Content_Encoding="gzip")


def _lie(call: Call) -> None:
    call.begin()
    call.wfile.write(b'{"seen":"","logs":[7]}')


ORIGINS = {
    "redirect": (_redirect, "answered 302"),
    "refuse": (_refuse, "answered 403 missing_scope$"),
    "endless": (_endless, "has over 16,777,216 bytes"),
    "hang": (_hang, "no answer"),
    "break off": (_break_off, "broke off"),
    "swell": (_swell, "compressed"),
    "lie": (_lie, "not as expected"),
}


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(read=0.3, total=1.0, max_bytes=2**22, attempts=1, failures=1000)
    monkeypatch.setattr(origin, "_LIMITS", limits)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("name", [name for name in ORIGINS if name not in {"endless", "redirect"}])
def test_a_bad_list_of_logs(tmp_path: Path, name: str):
    behave, message = ORIGINS[name]
    with served(behave) as server, pytest.raises(CommandError, match=message) as caught:
        run(server.url, tmp_path / "mirror")
    assert KEY not in str(caught.value)
    assert {path.name for path in tmp_path.rglob("*")} == {"mirror", "mirror.json", "mirror.lock"}


def test_an_endless_list_of_logs(tmp_path: Path):
    with served(_endless) as server, pytest.raises(CommandError, match=ORIGINS["endless"][1]):
        run(server.url, tmp_path / "mirror")


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("redirect", "answered 302"),
        ("refuse", "answered 403 missing_scope$"),
        ("endless", "over 4,194,304 bytes"),
        ("hang", "no answer"),
        ("break off", "broke off"),
        ("lie", "ends before its last line"),
    ],
)
def test_a_bad_copy(store: CsvStore, tmp_path: Path, name: str, message: str):
    behave, list_logs = ORIGINS[name][0], honest(store)
    with served(lambda call: behave(call) if "/copy" in call.path else list_logs(call)) as server:
        with pytest.raises(CommandError, match=message):
            run(server.url, tmp_path / "mirror")
        assert [path for path, _ in server.calls if "evil" in path or path == "/"] == []
    assert CsvStore(tmp_path / "mirror").symbols(TRADES) == []


def test_a_restored_log_is_a_failure_without_anew(store: CsvStore, tmp_path: Path):
    def gone(call: Call) -> None:
        call.begin(409)
        call.wfile.write(b'{"code":"resync"}')

    answers = {"now": honest(store)}
    with served(lambda call: answers["now"](call)) as server:  # noqa: PLW0108 it changes
        run(server.url, tmp_path / "mirror")
        store.append(batch(trade(9)))
        answers["now"] = lambda call: gone(call) if "/copy" in call.path else honest(store)(call)
        with pytest.raises(CommandError, match="not all logs were copied"):
            run(server.url, tmp_path / "mirror")
        answers["now"] = lambda call: gone(call) if "after=2-" in call.path else honest(store)(call)
        assert "commit 3-" in run(server.url, tmp_path / "mirror", "--anew")
        (tmp_path / "origin" / "trades").rename(tmp_path / "origin" / "lost")
        answers["now"] = honest(CsvStore(tmp_path / "origin"))
        assert f"trades/{SYMBOL}: removed" in run(server.url, tmp_path / "mirror", "--anew")
    assert CsvStore(tmp_path / "mirror").symbols(TRADES) == []


def test_control_characters_of_an_origin_are_not_printed(tmp_path: Path):
    def escape(call: Call) -> None:
        call.begin()
        call.wfile.write(
            b'{"seen":"","logs":[{"dataset":"\\u001b]0;x","symbol":"AAPL","number":1,"hash":"","committed_at":""}]}'
        )

    with served(escape) as server, pytest.raises(CommandError, match=r"x1b") as caught:
        run(server.url, tmp_path / "mirror")
    assert "\x1b" not in str(caught.value)


def test_once_waits_as_the_origin_asks_and_names_symbols_without_rows(
    store: CsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "_FIRST_PAUSE_SECONDS", 0.01)

    def later(call: Call) -> None:
        call.begin(429, Retry_After="0", Content_Length="0")

    turns = iter([later, honest(store), later, honest(store), honest(store)])
    with served(lambda call: next(turns)(call)) as server:  # noqa: PLW0108 one for each call
        said = run(server.url, tmp_path / "mirror", symbols=(SYMBOL, "NOSUCH")).splitlines()
    assert sum("answered 429; trying again" in line for line in said) == 2
    assert "NOSUCH: the origin has no rows" in said
    assert logs_of(tmp_path / "mirror") == logs_of(tmp_path / "origin")


def test_failures_that_may_pass_are_told_and_tried_again(
    store: CsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    turns = iter([_break_off, _break_off, honest(store), honest(store), _refuse])
    monkeypatch.setattr(following, "_FIRST_PAUSE_SECONDS", 0.01)
    out = StringIO()
    with (
        served(lambda call: next(turns)(call)) as server,  # noqa: PLW0108 one for each call
        pytest.raises(CommandError, match=r"answered 403 missing_scope$"),
    ):
        call_command("mirror", server.url, str(tmp_path / "mirror"), SYMBOL, stdout=out)
    assert out.getvalue().count("; trying again after 0 s") == 2
    assert logs_of(tmp_path / "mirror") == logs_of(tmp_path / "origin")
