"""Capacity on paper: `python -m benchmarks.scale` prints the tables of docs/scale.md.

A simulation of clients, web hosts and the servers behind them, which uses up measured processor time; then the arithmetic from
there to hosts and money. It knows no network, no garbage collection, no locks and no disk.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import NamedTuple

# What wrk takes of a processor for a call, in µs: from the first row of CASES at two cores.
LOAD_US = 68.0


class Case(NamedTuple):
    """Rates of held answers on 2026-11-28. demand_us: processor time of an answer, Redis included."""

    name: str
    demand_us: float
    one_core: int
    two_cores: int


CASES = (
    Case("bars of `/stats/ohlc`", 219, 4_456, 6_956),
    Case("page of bars, JSON", 240, 3_929, 7_555),
    Case("page of bars, columnar", 214, 4_568, 6_256),
    Case("page of bars, msgpack", 200, 4_939, 7_531),
    Case("`latest`", 209, 4_727, 8_018),
    Case("`snapshot`", 223, 4_283, 6_729),
)

Call = Sequence[tuple[str, float]]
"""A call's visits: a station, and µs of one of its processors on average."""


def simulate(
    processors: Mapping[str, int], calls: Sequence[Call], *, clients: int = 32, count: int = 20_000
) -> float:
    """Return the calls a second of clients that call again once they are answered. Each takes the calls by turns.

    processors: of each station, which serves in order of arrival; times are exponential.
    """
    rng, free = random.Random(1), dict(processors)
    waiting: dict[str, deque[int]] = {name: deque() for name in processors}
    turn = [client % len(calls) for client in range(clients)]
    visit = [0] * clients
    ends: list[tuple[float, int]] = []
    now, done = 0.0, 0

    def begin(client: int) -> None:
        ends_in = rng.expovariate(1 / calls[turn[client]][visit[client]][1])
        heapq.heappush(ends, (now + ends_in, client))

    def arrive(client: int) -> None:
        station = calls[turn[client]][visit[client]][0]
        if free[station]:
            free[station] -= 1
            begin(client)
        else:
            waiting[station].append(client)

    for client in range(clients):
        arrive(client)
    while done < count:
        now, client = heapq.heappop(ends)
        station = calls[turn[client]][visit[client]][0]
        if waiting[station]:
            begin(waiting[station].popleft())
        else:
            free[station] += 1
        visit[client] += 1
        if visit[client] == len(calls[turn[client]]):
            visit[client], turn[client], done = 0, (turn[client] + 1) % len(calls), done + 1
        arrive(client)
    return done / now * 1e6


def case_rates(case: Case) -> tuple[float, float]:
    """Return two simulated rates: server and load on a core each; both sharing two cores."""
    one = simulate({"server": 1, "load": 1}, [[("load", LOAD_US), ("server", case.demand_us)]])
    two = simulate({"cores": 2}, [[("cores", LOAD_US), ("cores", case.demand_us)]])
    return one, two


# µs of a processor. Of a held answer Redis takes 28, once for each call without leased tokens.
HELD_US, REDIS_US, COMPUTED_US, SHARD_READ_US = 191.0, 28.0, 4_900.0, 10_000.0


class Batch(NamedTuple):
    """Processor time of a commit of so many rows, in ms: a web process, PostgreSQL, the shards."""

    rows: int
    web: float
    postgres: float
    shards: float


BATCHES = (Batch(100, 10, 1.7, 14), Batch(1_000, 12.5, 1.9, 16), Batch(10_000, 40, 3.8, 38))


def hosts_rate(hosts: int, *, held: int = 90, cores: int = 2) -> float:
    """Return calls a second of web hosts with so many cores, of which `held` per cent are held and the others computed."""
    kinds = []
    for host in range(hosts):
        web = f"web {host}"
        held_call, computed = [("redis", REDIS_US), (web, HELD_US)], [("redis", REDIS_US), (web, COMPUTED_US)]
        kinds += [held_call] * (held // 10) + [[*computed, ("shards", SHARD_READ_US)]] * (10 - held // 10)
    stations = {**{f"web {host}": cores for host in range(hosts)}, "redis": 1, "shards": 16}
    return simulate(stations, kinds, clients=32 * hosts, count=10_000 * hosts)


# The target, and what is assumed of it.
SYMBOLS, TRADES_A_DAY, CLIENTS, HOURS, PEAK = 10_000, 10_000_000_000, 100_000, 6.5, 4
SYMBOLS_OF_A_CLIENT, SECONDS_BETWEEN_CALLS, COMPUTED_SHARE = 10, 10, 0.1
MESSAGES_A_CORE, MESSAGE_BYTES, ROW_BYTES, DAYS = 12_077, 575, 45, 252
# So much of a processor is planned for. US dollars, list prices of the order of magnitude of November 2026.
UTILISATION, HOST_CORES = 0.6, 16
CORE_HOUR, DISK_GB_MONTH, TRAFFIC_GB = 0.05, 0.10, 0.05


def plan(batch: Batch) -> dict[str, float]:
    """Return what the target needs at its peak if all batches have so many rows. Processors are of full use."""
    seconds = HOURS * 3_600
    commits, calls = TRADES_A_DAY / seconds * PEAK / batch.rows, CLIENTS / SECONDS_BETWEEN_CALLS
    messages, computed = CLIENTS * SYMBOLS_OF_A_CLIENT * commits / SYMBOLS, calls * COMPUTED_SHARE
    web = {
        "processors: ingest": commits * batch.web / 1e3,
        "processors: reads": ((calls - computed) * HELD_US + computed * COMPUTED_US) / 1e6,
        "processors: live feed": messages / MESSAGES_A_CORE,
    }
    postgres = commits * batch.postgres / 1e3
    shards = commits * batch.shards / 1e3 + computed * SHARD_READ_US / 1e6
    hosts = [ceil(each / UTILISATION / HOST_CORES) for each in (sum(web.values()), postgres, shards)]
    traffic = messages / PEAK * MESSAGE_BYTES * seconds * DAYS / 12 / 1e9
    return {
        "commits/s": commits,
        "seconds between commits of a symbol": SYMBOLS / commits * PEAK,
        "live messages/s": messages,
        **web,
        "processors: PostgreSQL": postgres,
        "processors: shards": shards,
        "web hosts": hosts[0],
        "hosts of PostgreSQL (more than 1 is not possible)": hosts[1],
        "shards": hosts[2],
        "$ a month: hosts, PostgreSQL and shards twice": (hosts[0] + 2 * hosts[1] + 2 * hosts[2])
        * (HOST_CORES * CORE_HOUR * 730),
        "$ a month: disks for a year of rows, twice": TRADES_A_DAY
        * ROW_BYTES
        * DAYS
        * 2
        / 1e9
        * DISK_GB_MONTH,
        "$ a month: traffic of the live feed": traffic * TRAFFIC_GB,
    }


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def tables() -> Iterator[str]:
    """Yield the lines of the page's tables."""
    yield _row("answers/s", "one core: measured", "simulated", "two cores: measured", "simulated")
    yield "|---|--:|--:|--:|--:|"
    for case in CASES:
        one, two = case_rates(case)
        yield _row(case.name, f"{case.one_core:,}", f"{one:,.0f}", f"{case.two_cores:,}", f"{two:,.0f}")
    hosts = (1, 2, 4, 8)
    yield from ("", _row("web hosts", *hosts), "|---|--:|--:|--:|--:|")
    for held in (100, 90):
        rates = [hosts_rate(count, held=held) for count in hosts]
        yield _row(
            f"calls/s, {held} % held (of one host)",
            *(f"{rate:,.0f} ({rate / rates[0]:.1f})" for rate in rates),
        )
    yield from ("", _row("batches of", *(f"{batch.rows:,} rows" for batch in BATCHES)), "|---|--:|--:|--:|")
    plans = [plan(batch) for batch in BATCHES]
    for label in plans[0]:
        values = [each[label] for each in plans]
        yield _row(label, *(f"{value:,.0f}" if value >= 10 else f"{value:.2g}" for value in values))


if __name__ == "__main__":
    print(*tables(), sep="\n")
