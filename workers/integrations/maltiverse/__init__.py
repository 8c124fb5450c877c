"""Maltiverse."""
