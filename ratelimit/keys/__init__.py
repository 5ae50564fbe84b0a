"""API keys: their form, making and withdrawing them, and finding them at each request."""
