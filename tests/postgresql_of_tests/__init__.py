"""The project's backend for PostgreSQL, which leaves the transaction of a test alone."""
