"""Digests: alerts summed up by group instead of one delivery each."""
