"""Authorization: scopes, sensitivity, accounts, and the access table with a row for each endpoint."""
