"""The tree as data, and the query that a request becomes."""
