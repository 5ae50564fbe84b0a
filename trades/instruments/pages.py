"""Pages of the list of instruments."""

from listing.pages import KeysetPagination


class InstrumentPagination(KeysetPagination):
    """By symbol."""

    rows_name = "instruments"
    by = "symbol"
    sort_description = "By symbol."
