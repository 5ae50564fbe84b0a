"""Continuous futures: the contracts of a root, joined where one rolls into the next."""
