"""The write side: trades come in, are checked, and are kept."""
