"""Benchmarks: one command each, every figure beside a reference measured in the same run."""
