"""Pages of the list of instruments."""

from listing.pages import PlacePagination


class InstrumentPagination(PlacePagination):
    """By symbol."""

    rows_name = "instruments"
    by = "symbol"
    sort_description = "By symbol."
