"""Pages and streams of rows, of any dataset."""
