"""The endpoint, the filters and the export of records."""
