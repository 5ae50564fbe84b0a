# Made by unasync.py from _async/__init__.py. Change that, and make it again.
