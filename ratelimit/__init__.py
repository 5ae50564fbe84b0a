"""Authentication, authorization and rate limits: credentials, API keys, scopes, token buckets and quotas."""
