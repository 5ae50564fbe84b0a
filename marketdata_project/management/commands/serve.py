"""`manage.py serve`: runs the whole installation in the foreground."""

import os
import signal
import socket
import sys
from argparse import ArgumentParser
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils import timezone

from front.process import main as run_web_process
from front.warm import load_before_forks
from marketdata_project.hosts import ROLES, roles_of
from ops.command_line.forks import CAN_FORK
from ops.metrics.process_files import remove_files
from ops.serve.child import in_fork
from ops.serve.database_lock import migration_lock
from ops.serve.embedded_redis import EmbeddedRedis, redis_binary
from ops.serve.handover import CHECK_OPTION, Handover, handover_take
from ops.serve.installation import (
    FolderUnavailable,
    InstallationError,
    address_of,
    allow_many_files,
    hide_existing_files,
    hide_new_files,
    make_private_folder,
    noted_url,
    open_listener,
    sole_user,
    url_of,
)
from ops.serve.migrations import pending_migrations
from ops.serve.plan import ServePlan
from ops.serve.supervisor import STOP_SIGNALS, Supervisor, has_terminal, set_environment
from ops.serve.turns import shared_memory
from ratelimit.access.scopes import ALL_SCOPES
from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.credentials.login_link import login_link_create
from ratelimit.keys.selectors import key_list
from ratelimit.keys.services import key_create
from trades.sample import COIN, FUND
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.models import Account
from trading.services.accounts import account_create, account_transfer

KEY_COMMAND = ".venv/bin/python manage.py apikey create NAME --scope all (or --role trader --account ACCOUNT)"
_ACCOUNT, _DEPOSIT = "DEMO", 100_000


class Prepared(NamedTuple):
    """Whether the sample is loaded; a link that logs in, if there is one; the first key, and what there is to say of keys."""

    has_sample: bool
    login_link: str | None
    key: str | None
    key_line: str


class Command(BaseCommand):
    help = "Run every process in the foreground: Redis (unless REDIS_URL is set), web, worker, engine, jobs. Ctrl-C ends all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        roles = ", ".join(ROLES)
        parser.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="ROLE",
            help=f"on one of many hosts: run only these of {roles}, separated by commas",
        )
        parser.add_argument(
            CHECK_OPTION,
            action="store_true",
            help="check the program and migrate the database, and run nothing",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        handover = handover_take()
        if handover is None:
            for number in (*STOP_SIGNALS, signal.SIGHUP):
                signal.signal(number, _exit)
            if not has_terminal():
                # The supervisor takes it.
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        # The program that started this one may have ignored it. Then the system would keep no exit codes of children.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        hide_new_files()
        # The system checks may have connected. Forks must not share a database connection.
        connections.close_all()
        try:
            roles = roles_of(options["only"])
            if settings.REDIS_EMBEDDED:
                redis_binary()  # Without one nothing is migrated or loaded.
            if options["prepare_only"]:
                load_before_forks()
                self._migrate()
                return
            make_private_folder(settings.RUN_DIR)
            hide_existing_files(settings.DATA_DIR)
            with sole_user(settings.RUN_DIR):
                allow_many_files()
                self._begin(roles, handover, is_only_host=not options["only"])
        except InstallationError as error:
            raise CommandError(str(error)) from error

    def _begin(self, roles: frozenset[str], handover: Handover | None, *, is_only_host: bool) -> None:
        """Listen, prepare, and run the processes of `roles`. A handover was prepared before."""
        with _listener(roles, handover) as listener, noted_url(settings.RUN_DIR, listener):
            if CAN_FORK:
                load_before_forks()
            if handover is None:
                base = url_of(listener) if listener is not None and is_only_host else ""
                numbers = list(range(settings.WORKERS))
                prepared = in_fork(partial(self._prepare, base), name="preparation")
            else:
                numbers = handover.web_numbers(settings.WORKERS)
                prepared = Prepared("sample feed" in handover.children, None, None, "")
            # A rolling restart has one process more.
            with shared_memory(max(numbers) + 1) as turns:
                plan = _plan(roles, listener, turns.fileno(), numbers, prepared)
                self._run(plan, prepared, None if handover is None else handover.children)

    def _prepare(self, base: str) -> Prepared:
        """Remove the last run's counters, migrate the database, make the first key, load the sample.

        base: the server's URL; empty on one of many hosts, which make no key and load no sample.
        """
        _remove_counters()
        self._migrate()
        if not base:
            return Prepared(False, None, None, f"Make an API key: {KEY_COMMAND}")
        key, key_line = self._first_key()
        has_sample = settings.LOAD_SAMPLE and self._load_sample()
        if has_sample:
            self._sample_account()
        link = login_link_create(base=base) if settings.LOGIN_LINK else None
        return Prepared(has_sample, link, key, key_line)

    def _migrate(self) -> None:
        with migration_lock(self._say):
            count = pending_migrations()
            if count:
                call_command("migrate", interactive=False, verbosity=0)
        self._say(f"Database: {count} migrations applied" if count else "Database: up to date")

    def _first_key(self) -> tuple[str | None, str]:
        """Make the first key; return it, and a line about the newest key."""
        newest = key_list().last()
        if newest is not None:
            return None, f"API key: the newest begins with md_{newest.prefix}; another one: {KEY_COMMAND}"
        if not settings.FIRST_KEY:
            return None, f"API key: none yet; make one: {KEY_COMMAND}"
        created = key_create(
            name="first",
            tier="internal",
            scopes=[ALL_SCOPES],
            accounts=[ALL_ACCOUNTS],
            now=timezone.now(),
            actor="command:serve",
        )
        return created.key, f"API key (shown once): {created.key}"

    def _load_sample(self) -> bool:
        """Load the sample; if that fails the server starts without it and returns False."""
        self._say("Sample: an invented market up to now")
        try:
            call_command("sample", stdout=self.stdout, stderr=self.stderr)
            if settings.SAMPLE_FEED:
                self._say("  New trades come while the server runs; SAMPLE_FEED=0 leaves them out")
        except Exception as error:  # noqa: BLE001 reported; the server starts all the same
            self.stderr.write(f"Sample: not loaded ({type(error).__name__}: {error})")
            return False
        return True

    def _sample_account(self) -> None:
        """Open an account with play money, if there is no account."""
        if Account.objects.exists():
            return
        account_create(
            name=_ACCOUNT, kind=AccountKind.CASH, currency="USD", by="command:serve", config=RiskConfig()
        )
        account_transfer(name=_ACCOUNT, transfer="sample", amount=Decimal(_DEPOSIT))
        self._say(f"Account: {_ACCOUNT}, with {_DEPOSIT:,} USD of play money")

    def _run(self, plan: ServePlan, prepared: Prepared, inherited: dict[str, int] | None) -> None:
        listener = plan.listener
        set_environment(
            settings_module=settings.SETTINGS_MODULE,
            base_dir=settings.BASE_DIR,
            data_dir=settings.DATA_DIR,
            port=settings.PORT if listener is None else address_of(listener)[1],
        )
        processes = [f"{len(plan.numbers)} web processes"] * (listener is not None)
        processes += ["a worker"] * bool(plan.worker)
        processes += ["a job worker"] * plan.runs_jobs + ["a feed process"] * plan.feeds
        processes += ["the trading engine", "the strategies"] * plan.trades
        place = "" if listener is None else f" on {url_of(listener)}"
        self._say(f"Starting {', '.join(processes)}{place}")
        supervisor = Supervisor(plan, say=self._say, inherited=inherited)
        supervisor.run(on_ready=lambda: self._say(_welcome(listener, prepared)))
        self._say("Stopped")

    def _say(self, line: str) -> None:
        try:
            self.stdout.write(line)
            self.stdout.flush()
        except OSError:  # its reader has ended, or its terminal was closed; the installation goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit(_signal: int, _frame: FrameType | None) -> None:
    """End the command, at a stop signal that arrives before any process runs."""
    raise SystemExit(0)


def _remove_counters() -> None:
    try:
        remove_files(settings.METRICS_DIR)
    except OSError as error:
        raise FolderUnavailable(f"The folder {settings.METRICS_DIR} cannot be used: {error}") from error


def _own_cores() -> list[int]:
    """Return a core for each web process; none if WORKER_CORES is `none`, or there are more or fewer, or on macOS."""
    if settings.WORKER_CORES == "none" or not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    return allowed if len(allowed) == settings.WORKERS else []


def _listener(
    roles: frozenset[str], handover: Handover | None
) -> AbstractContextManager[socket.socket | None]:
    """Return the socket on which web processes listen; None without web processes."""
    if handover is not None and handover.listener is not None:
        return socket.socket(fileno=handover.listener)
    return open_listener(host=settings.HOST, port=settings.PORT) if "web" in roles else nullcontext()


def _plan(
    roles: frozenset[str],
    listener: socket.socket | None,
    turns: int,
    numbers: list[int],
    prepared: Prepared,
) -> ServePlan:
    """Return the processes of this host."""
    is_worker = "worker" in roles
    runs_jobs = "jobs" in roles and settings.JOB_THREADS > 0
    return ServePlan(
        listener=listener,
        turns=turns,
        web=run_web_process,
        numbers=numbers,
        cores=_own_cores(),
        redis=EmbeddedRedis(settings.REDIS_SOCKET, settings.RUN_DIR) if settings.REDIS_EMBEDDED else None,
        watchdog_seconds=settings.WATCHDOG_SECONDS,
        # Web processes write spool files, which a worker of the same host collects.
        worker=["worker"] if is_worker else [] if listener is None else ["worker", "--of-host"],
        trades="engine" in roles and settings.TRADING_ENGINE,
        runs_jobs=runs_jobs,
        feeds=is_worker and settings.FEEDS_ON,
        feeds_sample=prepared.has_sample and settings.SAMPLE_FEED,
    )


def _welcome(listener: socket.socket | None, prepared: Prepared) -> str:
    if listener is None:
        return "Ready"
    base, link = url_of(listener), prepared.login_link
    lines = [
        "",
        f"Ready on {base}",
        f"  Open   {link} (logs this browser in, once)" if link else f"  Open   {base}/",
        f"  Docs   {base}/docs/guide",
        f"  Data   {settings.DATA_DIR}",
        f"  {prepared.key_line}",
        "  Stop   Ctrl-C",
    ]
    return "\n".join(lines + (_commands(base, prepared.key) if prepared.has_sample else []))


def _commands(base: str, key: str | None) -> list[str]:
    return [
        "",
        "Try, in another terminal in this folder:",
        f"  export URL={base} KEY={key or 'md_…'}",
        "  .venv/bin/python clients/python/examples/first_frame.py DEMOA",
        f'  curl -s "$URL/api/v1/market-data/crypto/{COIN}/trades?last=5" -H "X-API-Key: $KEY"',
        f"  .venv/bin/python manage.py backtest crossover {FUND} --set interval=1d",
    ]
