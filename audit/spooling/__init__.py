"""Spools records: processes write them to files of sealed lines; the collector moves them into the database."""
