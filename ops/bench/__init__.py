"""Benchmarks: one command each; every figure has a reference measured in the same run."""
