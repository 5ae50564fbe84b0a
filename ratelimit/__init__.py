"""Who calls and how much: API keys, tiers, scopes, the token bucket."""
