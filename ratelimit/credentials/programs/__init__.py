"""OAuth2 clients of programs, and their token endpoints."""
