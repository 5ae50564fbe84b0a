"""Settings of Django: base, development, test, production."""
