"""Django's backend for PostgreSQL; a server that has stopped answering is not waited for."""
