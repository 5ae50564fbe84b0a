"""People: what they may, their sessions and tokens, their logins."""
