"""What refusals are made of, whoever refuses: which field is wrong, and which name was perhaps meant.

Knows none of the apps.
"""
