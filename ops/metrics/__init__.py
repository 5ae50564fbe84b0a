"""Metrics: declared here, counted in each process, summed over all processes, and exported."""
