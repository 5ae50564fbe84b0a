"""Token buckets: as a pure function, and what one process holds of them."""
