"""The chain of records in the database: what writes, proves, verifies and prunes it."""
