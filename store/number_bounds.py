"""Lower bounds of numbers, as data, each with what is said to one below it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Above:
    """The lower bound of a number, zero: itself allowed or not, and the refusal of what is below.

    waivable: it does not hold for instruments with `allow_nonpositive_price`.
    """

    code: str
    message: str
    zero_allowed: bool = True
    waivable: bool = False


_HOW = (
    "unless the instrument has the setting allow_nonpositive_price (manage.py instrument SYMBOL"
    " --allow-nonpositive-price, or PUT /api/v1/instruments/SYMBOL)"
)
PRICE = Above("nonpositive_price", f"must be greater than 0 {_HOW}", zero_allowed=False, waivable=True)
QUOTED = Above("negative_price", f"must be 0 or more {_HOW}", waivable=True)
VOLUME = Above("negative_volume", "must be 0 or more")
SIZE = Above("negative_size", "must be 0 or more")
POSITIVE = Above("out_of_range", "must be greater than 0", zero_allowed=False)
