"""The tenors of interest rates: the times to which money is lent."""

# Each tenor's length in years. A day is 1/365 of a year, a month 1/12.
TENORS: dict[str, float] = {
    "1D": 1 / 365,
    **{f"{count}W": 7 * count / 365 for count in (1, 2, 3, 6)},
    **{f"{count}M": count / 12 for count in (*range(1, 12), 18)},
    **{f"{count}Y": float(count) for count in (*range(1, 11), 12, 15, 20, 25, 30, 40, 50)},
}
TENOR_ALIASES = (("ON", "1D"), ("12M", "1Y"), ("24M", "2Y"))
