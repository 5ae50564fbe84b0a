"""What a caller may do: scopes, sensitivity, accounts, and the table of all endpoints."""
