"""Authorization: scopes, sensitivity, accounts."""
