"""Instruments: services, endpoints, and the table that is searched. The facts are in the store."""
