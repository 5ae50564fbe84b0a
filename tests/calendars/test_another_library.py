"""Hours of 2024 to 2026 against exchange_calendars' own: every minute that only one of the two has, with its cause.

`ours` are minutes that we expect: complete data made from the other library's hours would have false gaps there.
`theirs` are minutes that we call closed. Mirrored calendars (London, Frankfurt, Tokyo, Hong Kong) come from the same
library, so they only show that nothing is lost on the way.
"""

from collections import Counter

import exchange_calendars
import numpy as np
import pytest

from calendars.schedule import Hours
from calendars.trading_calendar import exchange_calendar
from store.arrays import Integers
from store.timestamps import MINUTE_NS
from tests.calendars.published import day
from tests.chance import SOAK

# The library itself calls what pandas will remove.
pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("calendars"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FIRST, LAST = "2024-01-01", "2026-12-31"
# By exchange and date: minutes that only we have, minutes that only they have, and who is right by what was published.
CMES_CAUSES = {
    "2025-01-09": (930, 0, "ours: CME was open until 8:30 (CME, 2024-12-30); they have no session"),
    "2026-04-03": (915, 0, "ours: the employment report was published; until 8:15, as in 2023"),
    **dict.fromkeys(
        ("2024-06-19", "2025-06-19", "2026-06-19"),
        (0, 300, "ours: they lack Juneteenth (their pull request 585)"),
    ),
    **dict.fromkeys(("2024-07-03", "2025-07-03"), (0, 285, "ours: 12:15 on 3 July (DTN's list of 2024)")),
    **dict.fromkeys(
        ("2024-11-29", "2024-12-24", "2025-11-28", "2025-12-24", "2026-11-27", "2026-12-24"),
        (15, 0, "ours: CME's equities close at 12:15, not at 12:00"),
    ),
}
MAINTENANCE = (0, 60, "ours: CME closes at 16:00; they have the hour of maintenance until 17:00")
XCBF_CAUSES = dict.fromkeys(
    ("2024-07-03", "2025-07-03"),
    (0, 180, "ours: index options closed at 12:15 (NYSE, 2024-11-08: 13:15 Eastern)"),
) | dict.fromkeys(
    ("2024-12-24", "2025-12-24", "2026-12-24"),
    (0, 180, "ours: the same on Christmas Eve, which both libraries lack"),
)
XKRX_CAUSES = {
    **dict.fromkeys(
        ("2024-11-14", "2025-11-13"), (60, 60, "ours: the entrance exam; their list of its days ends in 2020")
    ),
    "2026-06-03": (0, 390, "ours: closed for local elections (their pull request 574)"),
}
XBOM_CAUSES = {
    **dict.fromkeys(
        ("2024-01-20", "2025-02-01", "2026-02-01"),
        (375, 0, "ours: sessions of a weekend, two of them for the budget; they lack all special sessions"),
    ),
    **dict.fromkeys(("2024-03-02", "2024-05-18"), (105, 0, "ours: tests of the disaster recovery site")),
    **dict.fromkeys(("2024-11-01", "2025-10-21"), (60, 0, "ours: Muhurat")),
}
PAIRS = {
    "XNYS": ("XNYS", {}, None),
    "XNAS": ("XNYS", {}, None),
    "XLON": ("XLON", {}, None),
    "XETR": ("XETR", {}, None),
    "XTKS": ("XTKS", {}, None),
    "XHKG": ("XHKG", {}, None),
    "XBOM": ("XBOM", XBOM_CAUSES, None),
    "XKRX": ("XKRX", XKRX_CAUSES, None),
    "XCBF": ("XCBF", XCBF_CAUSES, None),
    "XCME": ("CMES", CMES_CAUSES, MAINTENANCE),
}


def minutes(starts: Integers, ends: Integers, dates: Integers) -> tuple[Integers, Integers]:
    """The minutes of periods of trading, and the trading date of each."""
    counts = (ends - starts) // MINUTE_NS
    first = np.repeat(starts // MINUTE_NS - np.cumsum(counts) + counts, counts)
    return first + np.arange(counts.sum()), np.repeat(dates, counts)


def ours(exchange: str) -> tuple[Integers, Integers]:
    schedule = exchange_calendar(exchange).on_dates(day(FIRST), day(LAST))
    segments = schedule.segments(Hours.REGULAR)
    return minutes(segments.start_ns, segments.end_ns, schedule.date[segments.date_index])


def theirs(name: str) -> tuple[Integers, Integers]:
    calendar = exchange_calendars.get_calendar(name, start="2023-12-01", end=LAST)
    frame = calendar.schedule.loc[FIRST:]
    columns = [frame[column].dt.tz_convert(None) for column in ("open", "break_start", "break_end", "close")]
    opens, break_starts, break_ends, closes = (c.to_numpy("M8[ns]").astype(np.int64) for c in columns)
    has_break = break_starts > 0
    dates = frame.index.to_numpy("M8[D]").astype(np.int64)
    starts = np.concatenate([opens, break_ends[has_break]])
    ends = np.concatenate([np.where(has_break, break_starts, closes), closes[has_break]])
    return minutes(starts, ends, np.concatenate([dates, dates[has_break]]))


# The other library takes half a minute for Seoul, of which `test_corrections.py` has the hours.
@pytest.mark.parametrize("exchange", [name for name in PAIRS if SOAK or name != "XKRX"])
def test_every_difference_has_a_cause(exchange: str):
    name, causes, usual = PAIRS[exchange]
    (our_minutes, our_dates), (their_minutes, their_dates) = ours(exchange), theirs(name)
    only_ours = Counter(our_dates[~np.isin(our_minutes, their_minutes)].tolist())
    only_theirs = Counter(their_dates[~np.isin(their_minutes, our_minutes)].tolist())
    found = {
        str(np.datetime64(date, "D")): (only_ours[date], only_theirs[date])
        for date in sorted(only_ours.keys() | only_theirs.keys())
    }
    unexplained = {
        date: counts for date, counts in found.items() if counts != (causes.get(date) or usual or (0, 0))[:2]
    }
    assert unexplained == {}
    assert causes.keys() - found.keys() == set()
