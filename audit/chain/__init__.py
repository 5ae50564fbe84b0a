"""The chain of records in the database: what writes it, what is known of it outside, what verifies and prunes it."""
