"""What is known of an instrument beside its data."""

import msgspec

from trades.bar_policies import BAR_POLICIES, EVERY_PRINT, BarPolicy
from trades.storage.exceptions import StoreUnavailable


class Instrument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instrument as it was last told to be; one that nobody told about has the defaults.

    bar_policy: the name of the policy that decides which prints make its bars.
    """

    symbol: str
    bar_policy: str = EVERY_PRINT.name

    @property
    def policy(self) -> BarPolicy:
        """The policy itself, as it is declared now. Raises `StoreUnavailable` for one that only another version knows."""
        try:
            return BAR_POLICIES[self.bar_policy]
        except KeyError as error:
            raise StoreUnavailable(
                f"bars of {self.symbol} follow the policy {self.bar_policy}, which this version does not know"
            ) from error
