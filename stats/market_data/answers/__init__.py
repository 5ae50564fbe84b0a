"""Pages and streams of the rows of any dataset."""
