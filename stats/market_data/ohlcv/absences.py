"""Why a page of bars has none where it has none, by what its bars are made from."""

from dataclasses import dataclass, replace
from typing import Annotated

from stats.caching.keys import PASSING
from stats.market_data.absence.listing import listed
from stats.market_data.absence.pages import PagesOfAbsences
from stats.market_data.absence.reasons import Absences
from stats.market_data.absence.untold import Untold
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.ohlcv.corporate_actions import BarInputs, day_grid
from stats.market_data.pinning.plan import Range
from stats.sessions.spans import Hours
from store.log_views.trade_bars import BarMaker
from store.resolutions import Resolution


@dataclass(frozen=True, slots=True)
class BarAbsences:
    """The intervals of a range without a bar.

    days: the first day of the query's range, None without a start, and the one behind its last, in days since
    1970. judged_until_ns: no interval that is told of ends later. settled_ns: intervals that end later are not over. expiry: an ISO date; None for what does not expire.
    """

    inputs: BarInputs
    grid: BarGrid
    range: Range
    days: Annotated[tuple[int | None, int], PASSING]
    judged_until_ns: Annotated[int, PASSING]
    settled_ns: Annotated[int, PASSING]
    expiry: str | None

    def of_page(self, start_ns: int | None, end_ns: int | None) -> list[dict[str, str]]:
        """See `AbsencesOfPage`. Raises `RangeTooLarge`."""
        days, logs = day_grid(self.grid), (self.inputs.trades, self.inputs.stored)
        absences = Absences(
            grid=self.grid,
            maker=self.inputs.printed(self.grid),
            days=self.inputs.printed(days),
            day_grid=days,
            untold=self._untold(),
            listed=listed(self.expiry, days, logs),
            settled_ns=self.settled_ns,
        )
        return PagesOfAbsences(absences, self.range, self.days).of_page(start_ns, end_ns)

    def _untold(self) -> Untold:
        of_all_hours = replace(self.grid, hours=Hours.ALL)

        def maker_of(resolution: Resolution) -> BarMaker:
            return self.inputs.printed(replace(of_all_hours, resolution=resolution))

        return Untold(self.inputs.stored, self.grid, maker_of, day_grid(of_all_hours))
