"""Who calls: what a request presents, and whose it is."""
