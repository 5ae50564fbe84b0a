"""The processes of one installation: supervisor, web, worker, embedded Redis."""
