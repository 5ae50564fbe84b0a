"""HTTP without a domain: requests, lists, idempotency, problems."""
