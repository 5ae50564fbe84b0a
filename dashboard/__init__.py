"""The pages: scripts, styles, templates."""
