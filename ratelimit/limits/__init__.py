"""Rate limits: costs, token buckets, quotas, and their headers."""
