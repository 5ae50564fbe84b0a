"""What is kept of a call or an event. Pure: no Django, no files, no clock."""
