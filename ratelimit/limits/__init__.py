"""Rate limits: tiers, costs, token buckets, quotas, and their headers."""
