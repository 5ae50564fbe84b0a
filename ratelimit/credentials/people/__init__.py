"""People: their grants, logins, sessions and tokens."""
