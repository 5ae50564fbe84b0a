"""How much a caller may do: tiers, buckets, quotas, and the headers that tell of them."""
