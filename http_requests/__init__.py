"""HTTP requests read strictly: bodies, parameters and addresses, and the encodings and entity tags of answers.

Unknown names are refused, never ignored. Imports none of the apps.
"""
