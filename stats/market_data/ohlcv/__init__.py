"""Bars: adjusted, with their absences and revisions."""
