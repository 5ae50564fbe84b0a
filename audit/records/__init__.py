"""Makes the records of calls and events. Pure: no Django, no files, no clock."""
