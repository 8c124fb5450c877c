"""The Maltiverse integration (spec 5.6)."""
