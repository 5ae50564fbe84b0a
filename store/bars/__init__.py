"""Makes bars of ordered rows: mergeable aggregates; bars of intervals, spans, sessions and quotes."""
