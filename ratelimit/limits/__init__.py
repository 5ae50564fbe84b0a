"""How much a caller may do: tiers, costs, token buckets, quotas, and their headers."""
