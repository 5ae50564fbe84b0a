"""Turns batches and corrections into commits of one log."""
