"""The market-data API under /api/v1/market-data: pages, streams and reports of every dataset."""
