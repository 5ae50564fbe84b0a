"""The way of a call's record from its process into the database: files of sealed lines, and what takes them in."""
