"""Hours that two exchanges published, written down by hand as UTC instants.

NYSE: "Holidays & Trading Hours", https://www.nyse.com/markets/hours-calendars. Core session 9:30 a.m. to 4:00
p.m. Eastern Time, early session from 4:00 a.m., late session to 8:00 p.m.; on 29 November 2024 and 24
December 2024 the core session closes at 1:00 p.m. and the late one at 5:00 p.m. Closed on Thanksgiving Day
(28 November 2024), Christmas Day, Good Friday (7 April 2023).

CME Group: E-mini S&P 500 contract specifications,
https://www.cmegroup.com/markets/equities/sp/e-mini-sandp500.contractSpecs.html: Sunday to Friday 5:00 p.m. to
4:00 p.m. Central Time, maintenance from 4:00 p.m. to 5:00 p.m.; a session that opens in the evening is the
next trading date's. "Holiday and Trading Hours", https://www.cmegroup.com/trading-hours.html: Thanksgiving
Day 2024 halts at 12:00 p.m., the day after and Christmas Eve close at 12:15 p.m.; Good Friday 2023, a day of
the employment report, closes at 8:15 a.m.; Good Friday 2022 and Christmas Day are closed.

Daylight saving time in the United States: 10 March to 3 November 2024, from 12 March 2023.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np


@cache
def ns(text: str) -> int:
    """Nanoseconds of `2024-03-08T14:30`, UTC."""
    return int(np.datetime64(text, "ns").astype(np.int64))


@cache
def day(text: str) -> int:
    """Days since 1970 of `2024-03-08`."""
    return int(np.datetime64(text, "D").astype(np.int64))


@dataclass(frozen=True, slots=True)
class Published:
    """A trading date: where its prints begin and end, its label, and its hours, each as UTC text."""

    date: str
    start: str
    label: str
    pre: str
    opens: str
    closes: str
    post: str
    end: str


@dataclass(frozen=True, slots=True)
class Week:
    """Consecutive trading dates of an exchange."""

    name: str
    exchange: str
    dates: tuple[Published, ...]

    def __str__(self) -> str:
        return self.name


def _stock(date: str, start: str, label: str, hours: str, end: str) -> Published:
    pre, opens, closes, post = hours.split()
    return Published(date, start, label, pre, opens, closes, post, end)


def _future(date: str, start: str, opens: str, closes: str, end: str) -> Published:
    return Published(date, start, opens, opens, opens, closes, closes, end)


WEEKS = (
    Week(
        "stocks, clocks go forward",
        "XNYS",
        (
            _stock("2024-03-08", "2024-03-08T05:00", "2024-03-08T05:00",
                   "2024-03-08T09:00 2024-03-08T14:30 2024-03-08T21:00 2024-03-09T01:00", "2024-03-09T05:00"),
            _stock("2024-03-11", "2024-03-09T05:00", "2024-03-11T04:00",
                   "2024-03-11T08:00 2024-03-11T13:30 2024-03-11T20:00 2024-03-12T00:00", "2024-03-12T04:00"),
            _stock("2024-03-12", "2024-03-12T04:00", "2024-03-12T04:00",
                   "2024-03-12T08:00 2024-03-12T13:30 2024-03-12T20:00 2024-03-13T00:00", "2024-03-13T04:00"),
        ),
    ),
    Week(
        "stocks, clocks go back",
        "XNYS",
        (
            _stock("2024-11-01", "2024-11-01T04:00", "2024-11-01T04:00",
                   "2024-11-01T08:00 2024-11-01T13:30 2024-11-01T20:00 2024-11-02T00:00", "2024-11-02T04:00"),
            _stock("2024-11-04", "2024-11-02T04:00", "2024-11-04T05:00",
                   "2024-11-04T09:00 2024-11-04T14:30 2024-11-04T21:00 2024-11-05T01:00", "2024-11-05T05:00"),
        ),
    ),
    Week(
        "stocks, Thanksgiving",
        "XNYS",
        (
            _stock("2024-11-27", "2024-11-27T05:00", "2024-11-27T05:00",
                   "2024-11-27T09:00 2024-11-27T14:30 2024-11-27T21:00 2024-11-28T01:00", "2024-11-28T05:00"),
            _stock("2024-11-29", "2024-11-28T05:00", "2024-11-29T05:00",
                   "2024-11-29T09:00 2024-11-29T14:30 2024-11-29T18:00 2024-11-29T22:00", "2024-11-30T05:00"),
            _stock("2024-12-02", "2024-11-30T05:00", "2024-12-02T05:00",
                   "2024-12-02T09:00 2024-12-02T14:30 2024-12-02T21:00 2024-12-03T01:00", "2024-12-03T05:00"),
        ),
    ),
    Week(
        "stocks, Christmas",
        "XNYS",
        (
            _stock("2024-12-24", "2024-12-24T05:00", "2024-12-24T05:00",
                   "2024-12-24T09:00 2024-12-24T14:30 2024-12-24T18:00 2024-12-24T22:00", "2024-12-25T05:00"),
            _stock("2024-12-26", "2024-12-25T05:00", "2024-12-26T05:00",
                   "2024-12-26T09:00 2024-12-26T14:30 2024-12-26T21:00 2024-12-27T01:00", "2024-12-27T05:00"),
        ),
    ),
    Week(
        "stocks, Good Friday",
        "XNYS",
        (
            _stock("2023-04-06", "2023-04-06T04:00", "2023-04-06T04:00",
                   "2023-04-06T08:00 2023-04-06T13:30 2023-04-06T20:00 2023-04-07T00:00", "2023-04-07T04:00"),
            _stock("2023-04-10", "2023-04-07T04:00", "2023-04-10T04:00",
                   "2023-04-10T08:00 2023-04-10T13:30 2023-04-10T20:00 2023-04-11T00:00", "2023-04-11T04:00"),
        ),
    ),
    Week(
        "futures, clocks go forward",
        "XCME",
        (
            _future("2024-03-08", "2024-03-07T23:00", "2024-03-07T23:00", "2024-03-08T22:00", "2024-03-08T23:00"),
            _future("2024-03-11", "2024-03-08T23:00", "2024-03-10T22:00", "2024-03-11T21:00", "2024-03-11T22:00"),
            _future("2024-03-12", "2024-03-11T22:00", "2024-03-11T22:00", "2024-03-12T21:00", "2024-03-12T22:00"),
        ),
    ),
    Week(
        "futures, clocks go back",
        "XCME",
        (
            _future("2024-11-01", "2024-10-31T22:00", "2024-10-31T22:00", "2024-11-01T21:00", "2024-11-01T22:00"),
            _future("2024-11-04", "2024-11-01T22:00", "2024-11-03T23:00", "2024-11-04T22:00", "2024-11-04T23:00"),
            _future("2024-11-05", "2024-11-04T23:00", "2024-11-04T23:00", "2024-11-05T22:00", "2024-11-05T23:00"),
        ),
    ),
    Week(
        "futures, Thanksgiving",
        "XCME",
        (
            _future("2024-11-27", "2024-11-26T23:00", "2024-11-26T23:00", "2024-11-27T22:00", "2024-11-27T23:00"),
            _future("2024-11-28", "2024-11-27T23:00", "2024-11-27T23:00", "2024-11-28T18:00", "2024-11-28T23:00"),
            _future("2024-11-29", "2024-11-28T23:00", "2024-11-28T23:00", "2024-11-29T18:15", "2024-11-29T23:00"),
            _future("2024-12-02", "2024-11-29T23:00", "2024-12-01T23:00", "2024-12-02T22:00", "2024-12-02T23:00"),
        ),
    ),
    Week(
        "futures, Christmas",
        "XCME",
        (
            _future("2024-12-24", "2024-12-23T23:00", "2024-12-23T23:00", "2024-12-24T18:15", "2024-12-24T23:00"),
            _future("2024-12-26", "2024-12-24T23:00", "2024-12-25T23:00", "2024-12-26T22:00", "2024-12-26T23:00"),
        ),
    ),
    Week(
        "futures, Good Friday closed",
        "XCME",
        (
            _future("2022-04-14", "2022-04-13T22:00", "2022-04-13T22:00", "2022-04-14T21:00", "2022-04-14T22:00"),
            _future("2022-04-18", "2022-04-14T22:00", "2022-04-17T22:00", "2022-04-18T21:00", "2022-04-18T22:00"),
        ),
    ),
    Week(
        "futures, Good Friday of an employment report",
        "XCME",
        (
            _future("2023-04-06", "2023-04-05T22:00", "2023-04-05T22:00", "2023-04-06T21:00", "2023-04-06T22:00"),
            _future("2023-04-07", "2023-04-06T22:00", "2023-04-06T22:00", "2023-04-07T13:15", "2023-04-07T22:00"),
            _future("2023-04-10", "2023-04-07T22:00", "2023-04-09T22:00", "2023-04-10T21:00", "2023-04-10T22:00"),
        ),
    ),
)  # fmt: skip
