"""Pages of the list of records, by their place in the chain."""

from listing.pages import PlacePagination


class RecordPagination(PlacePagination):
    """By sequence, the newest first."""

    rows_name = "records"
    by = "sequence"
    sort_description = "By sequence, the newest first."
    default_limit = 100
    default_sort = "desc"
    # The table may hold many millions.
    counted = 10_000
