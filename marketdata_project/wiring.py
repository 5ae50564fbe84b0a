"""Gives lower apps functions and values of higher apps, which lower apps may not import (see `ops.needs`).

Each value is imported at its first use, so commands that use none of them do not load the endpoints.
"""
# ruff: noqa: PLC0415

from collections.abc import Callable, Collection, Mapping

from django.http import HttpRequest

from audit.needs import CALLER_NAMES, PERSON_MAY
from jobs.kinds import JOB_KINDS, JobKind
from ratelimit.access.denials import FETCHED_IN
from stats.live.accounts import ACCOUNT_FEEDS, AccountFeeds
from stats.market_data.ohlcv.absences import PENDING_WINDOWS
from store.protocol import Window
from store.server_calls import ORIGIN
from web.correlation import correlation_id
from web.endpoints import Access
from web.events import EVENT_WRITE
from web.problem_body import PROBLEM_OF, AnyProblem


def wire() -> None:
    """Provide all values; call it once per process."""
    PROBLEM_OF.provide(_problem_of)
    PERSON_MAY.provide(_person_may)
    CALLER_NAMES.provide(_caller_names)
    JOB_KINDS.provide(_job_kinds)
    PENDING_WINDOWS.provide(_pending_windows)
    FETCHED_IN.provide(_fetched_in)
    ACCOUNT_FEEDS.provide(_account_feeds)
    EVENT_WRITE.provide(_event_write)
    ORIGIN.correlation_id = correlation_id


def _problem_of() -> Callable[[Exception], AnyProblem]:
    from marketdata_project.problems import problem_of

    return problem_of


def _person_may() -> Callable[[HttpRequest, Access], bool]:
    from ratelimit.credentials.people import person_may

    return person_may


def _caller_names() -> Callable[[Collection[str]], Mapping[str, str]]:
    from ratelimit.keys.selectors import caller_names

    return caller_names


def _job_kinds() -> Mapping[str, JobKind]:
    from marketdata_project.job_kinds import KINDS

    return {kind.name: kind for kind in KINDS}


def _pending_windows() -> Callable[[str], tuple[Window, ...] | None]:
    from jobs.backfills.services import pending_windows

    return pending_windows


def _event_write() -> Callable[..., object]:
    from webhooks.events import event_write

    return event_write


def _fetched_in() -> Callable[[Mapping[str, str]], bool]:
    from jobs.backfills.fetched import fetched_in

    return fetched_in


def _account_feeds() -> AccountFeeds:
    from trading.selectors import LiveAccounts

    return LiveAccounts()
