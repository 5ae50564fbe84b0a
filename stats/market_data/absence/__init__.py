"""Why there is no bar."""
