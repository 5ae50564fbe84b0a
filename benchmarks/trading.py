"""Trading over HTTP: previews and executes with many stored orders, fills on the live feed, and a stop under load.

Two web processes on all cores, and the engine. Prints of 20 symbols come once a second. Two accounts take previews and
executes by turns, one with 100,000 filled orders and one with none. A fill's delay is from the instant at which the
acknowledgement of its print was read to the instant at which the client of `orders:` has read that the order is filled.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

from websockets.sync.client import connect

from benchmarks.clients import INGEST_PATH, Connection
from benchmarks.generated_trades import FIRST_DAY_NS, MINUTE_NS, Stream, batch_rows, json_body, stored
from benchmarks.market_data import NOT_HELD
from benchmarks.processes import (
    CORES,
    descendants,
    memory_of_process,
    on_cores,
    processor_seconds,
    run_python,
)
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from benchmarks.servers import Server, installation_environment, our_server
from benchmarks.trading_accounts import EMPTY, FILLED, FILLED_SYMBOL, FULL, PRICE, STOPPED, SYMBOLS, VOLUME
from store.timestamps import SECOND_NS, format_timestamp

_CALLS_A_ROUND = 60
_FILLS_A_ROUND = 40
_PRINT_SECONDS = 1.0
# Longer than the latency of the accounts' limits, after which a print fills.
_LATENCY_SECONDS = 0.06
_AWAITED_SECONDS = 60.0
_WARM_UP = 5
_ORDERS = 100
_CLIENTS_A_LANE = 4
_FLOOD_SECONDS = 2.0
_LOOK_SECONDS = 0.02
_STALE, _AWAY = 409, 503
_IDLE_SECONDS = 5
_HISTORY = Stream(a_minute=20)
_READ = next(iter(NOT_HELD.values()))
_LIMIT = {"symbol": SYMBOLS[0], "side": "buy", "type": "limit", "limit_price": PRICE / 2, "quantity": 1}
_READ_SECONDS = 29 * 86_400
_PREVIEWED = json.dumps({**_LIMIT, "time_in_force": "gtc"}).encode()
_OTHER_KEYS = 3  # the keys before it are those of the measured calls
_Made = Callable[[Server], bytes]


def measure_trading(sizes: Sizes) -> Iterator[Row]:
    """Yield the times of calls, the delays of fills, and those of stops."""
    with on_cores(CORES), our_server(workers=2, pinned=False) as server:
        stored(server.folder, _HISTORY, 1440 * _HISTORY.a_minute * 30)
        environment = installation_environment(server.folder)
        log = server.folder.parent / "accounts.log"
        printed = run_python(
            "benchmarks.trading_accounts", str(sizes.orders), environment=environment, log=log
        )
        traded = replace(server, keys=json.loads(printed))
        yield _idle_note(traded)
        with _printed(traded):
            yield from _call_rows(traded, sizes)
            yield from _fill_rows(traded, sizes)
            yield from _stop_rows(traded, sizes)


def _idle_note(server: Server) -> Note:
    """Return what the engine uses while nothing happens."""
    (engine,) = [pid for pid in descendants(server.roots) if "marketdata engine" in _command(pid)]
    before = processor_seconds([engine])
    time.sleep(_IDLE_SECONDS)
    used = (processor_seconds([engine]) - before) / _IDLE_SECONDS
    memory = memory_of_process("RssAnon", engine) / 2**20
    return Note(f"The idle engine uses {used:.1%} of a core and {memory:.0f} MiB of its own.")


def _command(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:  # noqa: PTH123
        return file.read()


class _Trader:
    """A caller with one key on one connection. A preview is bound to its caller."""

    def __init__(self, server: Server, connection: Connection, account: str) -> None:
        self._server, self._connection, self._account = server, connection, account

    def post(self, path: str, body: object = None, *expected: int) -> Any:
        content = None if body is None else json.dumps(body).encode()
        return self._call("POST", path, content, *expected)

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path, None)

    def _call(self, method: str, path: str, body: bytes | None, *expected: int) -> Any:
        target = f"/api/v1{path}?account={self._account}" if "?" not in path else f"/api/v1{path}"
        request = self._server.request(method, target, body)
        return json.loads(self._connection.answer(request, expected=(200, 201, 202, *expected))[1])

    def order(self, **terms: object) -> str:
        """Place an order and return its id."""
        terms = {**_LIMIT, "time_in_force": "gtc", "client_order_id": str(uuid4()), **terms}
        if terms["type"] == "market":
            del terms["limit_price"]
        return str(self.post("/orders", terms)["id"])


@contextmanager
def _trader(server: Server, account: str, key: int = 0) -> Iterator[_Trader]:
    own = replace(server, keys=[server.keys[key]])
    with Connection(own) as connection:
        yield _Trader(own, connection, account)


@contextmanager
def _running(work: Callable[[], object]) -> Iterator[None]:
    """Call a function again and again in a thread. Raises what it raised."""
    ending, errors = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            with on_cores(CORES):
                while not ending.is_set():
                    work()
        except BaseException as error:  # noqa: BLE001 raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
    if errors:
        raise errors[0]


@contextmanager
def _printed(server: Server) -> Iterator[None]:
    """Print every symbol once a second meanwhile."""
    own = replace(server, keys=[server.keys[1]])
    with Connection(own) as connection:

        def prints() -> None:
            began = time.monotonic()
            for symbol in SYMBOLS:
                connection.exchange(_print(own, symbol))
            time.sleep(max(began + _PRINT_SECONDS - time.monotonic(), 0))

        with _running(prints):
            yield


def _print(server: Server, symbol: str) -> bytes:
    """Return the request that stores a print of now."""
    now = format_timestamp(time.time_ns())
    row = {"timestamp": now, "symbol": symbol, "price": PRICE, "volume": VOLUME}
    return server.request("POST", INGEST_PATH, json.dumps({"trades": [row]}).encode())


def _call_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Yield the times of a preview and its execute, of both accounts by turns."""
    found: dict[str, list[float]] = {EMPTY: [], FULL: []}
    stale = 0
    with _trader(server, EMPTY) as empty, _trader(server, FULL) as full:
        traders = [(empty, EMPTY), (full, FULL)]
        for number in range(_WARM_UP + sizes.rounds * _CALLS_A_ROUND):
            for trader, account in traders[:: 1 if number % 2 else -1]:
                while (milliseconds := _executed(trader)) is None:
                    stale += 1
                if number >= _WARM_UP:
                    found[account].append(milliseconds)
    if stale:
        yield Note(
            f"{stale} executes were refused and repeated, because the engine had just changed the account."
        )
    label = f"preview and execute with {sizes.orders:,} stored orders"
    here, beside = median(found[FULL]), median(found[EMPTY])
    yield Ratio(f"{label}, against none: median", here, beside, "ms", Goal(most=1.2))
    yield Ratio(f"{label}, p99 against p50", _p99(found[FULL]), here, "ms", Goal(most=4))


def _executed(trader: _Trader) -> float | None:
    """Preview an order, and execute it; return the milliseconds of both, or None if the preview was stale.

    Then cancel it, because each event makes previews stale.
    """
    began = time.perf_counter()
    preview = trader.post("/trade/preview", {**_LIMIT, "time_in_force": "gtc"})
    order = trader.post("/trade/execute?format=json", {"preview_id": preview["preview_id"]}, _STALE)
    milliseconds = (time.perf_counter() - began) * 1e3
    if "id" not in order:
        return None
    path = f"/orders/{order['id']}"
    trader.delete(path)
    _await(lambda: trader.get(path)["status"] == "cancelled")
    return milliseconds


def _fill_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Yield the delays from acknowledged prints to fills on the live feed."""
    delays = _delays(server, _WARM_UP + sizes.rounds * _FILLS_A_ROUND)[_WARM_UP:]
    yield Ratio("acknowledged print to its fill on `orders:`: median", median(delays), None, "ms")
    yield Ratio("acknowledged print to its fill on `orders:`: p99", _p99(delays), None, "ms")


def _delays(server: Server, fills: int) -> list[float]:
    """Buy and sell at the market by turns; return the milliseconds of each fill."""
    found = []
    url = f"ws://{server.host}:{server.port}/ws/v1/stream"
    headers = {"X-API-Key": server.keys[0]}
    with (
        _trader(server, FILLED) as trader,
        Connection(server) as connection,
        connect(url, additional_headers=headers, compression=None) as feed,
    ):
        feed.send(json.dumps({"op": "subscribe", "channels": [f"orders:{FILLED}"]}))
        connection.exchange(_print(server, FILLED_SYMBOL))
        for number in range(fills):
            side = ("buy", "sell")[number % 2]
            order_id = trader.order(symbol=FILLED_SYMBOL, side=side, type="market")
            time.sleep(_LATENCY_SECONDS)
            connection.exchange(_print(server, FILLED_SYMBOL))
            acknowledged = time.monotonic()
            while not _is_filled(json.loads(feed.recv(_AWAITED_SECONDS)), order_id):
                pass
            found.append((time.monotonic() - acknowledged) * 1e3)
    return found


def _is_filled(frame: dict[str, Any], order_id: str) -> bool:
    if frame.get("op") == "error":
        raise UnexpectedAnswer(f"{frame}")
    return any(row["id"] == order_id and row["status"] == "filled" for row in frame.get("data", ()))


def _stop_rows(server: Server, sizes: Sizes) -> Iterator[Row]:
    """Yield how long stops take while all lanes are busy, and the medians of the other calls."""
    others: dict[str, list[float]] = {}
    pairs = [_stopped(server, others, number) for number in range(sizes.rounds)]
    label = f"stop of {_ORDERS} orders and {len(SYMBOLS)} positions while every lane is flooded"
    accepted = [each for each, _ in pairs]
    for name, times in others.items():
        beside = f"{label}: acceptance, against the median of {len(times):,} {name}"
        yield Ratio(beside, median(accepted), median(times), "ms", Goal(most=1))
    yield Ratio(f"{label}: worst acceptance", max(accepted), None, "ms")
    yield Ratio(f"{label}: until flat", median(each for _, each in pairs), None, "ms")


def _stopped(server: Server, others: dict[str, list[float]], number: int) -> tuple[float, float]:
    """Stop an account with orders and positions; return the milliseconds until the answer, and until it is flat."""
    with _trader(server, STOPPED, key=2) as trader:
        _hold(trader)
        with _flooded(server, others, number):
            time.sleep(_FLOOD_SECONDS)
            began = time.perf_counter()
            trader.post("/trading/stop")
            accepted = time.perf_counter()
            _await(lambda: trader.get("/status")["status"] == "stopped")
            flat = time.perf_counter()
            time.sleep(_FLOOD_SECONDS)
    return (accepted - began) * 1e3, (flat - began) * 1e3


def _hold(trader: _Trader) -> None:
    """Start the account, and have it hold positions in all symbols, and orders."""
    trader.post("/trading/start")
    for symbol in SYMBOLS:
        trader.order(symbol=symbol, type="market")
    _await(lambda: trader.get("/status")["open_positions"] == len(SYMBOLS))
    for number in range(_ORDERS):
        trader.order(symbol=SYMBOLS[number % len(SYMBOLS)])


@contextmanager
def _flooded(server: Server, others: dict[str, list[float]], number: int) -> Iterator[None]:
    """Send calls of every lane as fast as they are answered meanwhile, and add their milliseconds to `others`."""
    numbers = count(number * 50_000)
    lanes: dict[str, _Made] = {
        "reads that are not held": lambda own: own.request("GET", _read(next(numbers))),
        "writes": lambda own: own.request("POST", INGEST_PATH, _batch(next(numbers))),
        "previews": lambda own: own.request("POST", f"/api/v1/trade/preview?account={EMPTY}", _PREVIEWED),
    }
    with ExitStack() as stack:
        for name, made in lanes.items():
            for client in range(_CLIENTS_A_LANE):
                own = replace(server, keys=[server.keys[_OTHER_KEYS + client]])
                connection = stack.enter_context(Connection(own))
                times = others.setdefault(name, [])
                stack.enter_context(_running(partial(_timed, connection, partial(made, own), times)))
        yield


def _read(number: int) -> str:
    """Return the path and query of 1,000 bars from any second on. No two numbers have the same."""
    start_ns = FIRST_DAY_NS + number * 7 % _READ_SECONDS * SECOND_NS
    start, end = format_timestamp(start_ns), format_timestamp(start_ns + 1_000 * MINUTE_NS)
    return f"{_READ}&start={start}&end={end}"


def _batch(number: int) -> bytes:
    return json_body(batch_rows(number, size=100), symbol="LIV00")


def _timed(connection: Connection, made: Callable[[], bytes], times: list[float]) -> None:
    """Send a request, and add the milliseconds until its answer, unless the engine is away."""
    request = made()
    began = time.perf_counter()
    head, _ = connection.answer(request, expected=(200, 201, _AWAY))
    if int(head.split(b" ", 2)[1]) != _AWAY:
        times.append((time.perf_counter() - began) * 1e3)


def _await(is_done: Callable[[], bool]) -> None:
    """Look until something is done. Raises UnexpectedAnswer if it takes too long."""
    deadline = time.monotonic() + _AWAITED_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise UnexpectedAnswer(f"what was asked for was not done in {_AWAITED_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[-1]
