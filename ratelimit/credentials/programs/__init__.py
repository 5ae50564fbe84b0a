"""Programs (OAuth2): their clients, and where they get their tokens."""
