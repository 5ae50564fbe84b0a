"""The market-data tree: pages and streams of rows of every dataset."""
