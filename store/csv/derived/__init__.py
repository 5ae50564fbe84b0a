"""Files that can be thrown away at any moment: sorted columns and rollups, current to a commit."""
