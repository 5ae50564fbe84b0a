"""What callers do to accounts: each service writes events under the account's lock."""
