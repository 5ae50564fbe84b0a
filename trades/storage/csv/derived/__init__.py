"""Files that can be thrown away at any moment: sorted columns and rollups, each current to a commit of its log."""
