"""The market-data tree: every dataset as pages of rows, by one query, one pager, one cache."""
