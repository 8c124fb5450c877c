"""The published integrations, encrypted, and the key that opens them."""
