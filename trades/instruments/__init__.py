"""Instruments: services, endpoints, and the search table. The store holds the declarations."""
