"""The processes of one server, and the programs that the supervisor runs for them."""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from django.core.management import execute_from_command_line

from ops.serve.child import Program, end_with_parent
from ops.serve.embedded_redis import EmbeddedRedis
from ops.serve.handover import WEB
from ops.serve.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class ServePlan:
    """The processes to run: `web` on `listener` for each of `numbers`, and `redis` unless it is None.

    `web` is the function that a web process calls with its arguments; its module does the same with `python -m`. Without
    web processes `listener` is None.

    `worker` is the command line of the worker; empty for none. `trades` adds the trading engine and
    the process that runs strategies, `runs_jobs` a process that runs jobs, `feeds` one that keeps symbols current, `feeds_sample` one that stores the sample's new rows.

    `turns` is the descriptor of the memory by which the web processes take turns (`ops/serve/turns.py`). The n-th
    keeps to `cores[n]`; to no core if `cores` is empty. A web process that gives no proof of life for
    `watchdog_seconds` is replaced; 0 turns that off.
    """

    listener: socket.socket | None
    turns: int
    web: Callable[[list[str]], None]
    numbers: Sequence[int]
    cores: Sequence[int]
    redis: EmbeddedRedis | None
    watchdog_seconds: float
    worker: Sequence[str]
    trades: bool
    runs_jobs: bool
    feeds: bool
    feeds_sample: bool


def redis_programs(plan: ServePlan) -> list[Program]:
    """Return the program of the embedded Redis, if there is one."""
    if plan.redis is None:
        return []
    return [
        Program(
            name="redis",
            command=plan.redis.command,
            bind_to_parent=end_with_parent(),
            before=plan.redis.prepare,
        )
    ]


def python_programs(plan: ServePlan) -> list[Program]:
    """Return the programs of all processes but Redis, in the order of their start."""
    programs: list[Program] = []
    if plan.listener is not None:
        cores: Sequence[int | None] = plan.cores or [None] * len(plan.numbers)
        programs += [
            _web_program(plan, plan.listener, *each) for each in zip(plan.numbers, cores, strict=True)
        ]
    if plan.worker:
        programs.append(_command_program("worker", *plan.worker))
    if plan.trades:
        programs.append(_command_program("engine", "trading_engine"))
        programs.append(_command_program("strategies", "strategies"))
    if plan.runs_jobs:
        programs.append(_command_program("jobs", "job_worker"))
    if plan.feeds:
        programs.append(_command_program("feed", "feed"))
    if plan.feeds_sample:
        programs.append(_command_program("sample feed", "sample", "--follow"))
    return programs


def _command_program(name: str, command: str, *options: str) -> Program:
    # The supervisor made the checks.
    arguments = [command, "--parent", str(os.getpid()), *options, "--skip-checks"]
    return Program(
        name=name,
        command=lambda: [sys.executable, "-m", "django", *arguments],
        bind_to_parent=end_with_parent(),
        main=partial(execute_from_command_line, ["manage.py", *arguments]),
    )


def _web_program(plan: ServePlan, listener: socket.socket, number: int, core: int | None) -> Program:
    fd = listener.fileno()
    watchdog = Watchdog() if plan.watchdog_seconds > 0 else None
    arguments = ["--number", str(number), "--fd", str(fd), "--turns", str(plan.turns)]
    arguments += ["--parent", str(os.getpid())]
    if watchdog is not None:
        arguments += ["--pulse", str(watchdog.sender)]
    return Program(
        name=f"{WEB}{number + 1}",
        command=lambda: [sys.executable, "-m", plan.web.__module__, *arguments],
        bind_to_parent=end_with_parent(),
        descriptors=(fd, plan.turns, *(() if watchdog is None else (watchdog.sender,))),
        main=partial(plan.web, arguments),
        before=None if watchdog is None else watchdog.reset,
        watchdog=watchdog,
        core=core,
    )
