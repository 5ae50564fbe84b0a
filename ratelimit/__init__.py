"""Who calls, what they may do and how much: credentials, API keys, scopes, limits."""
