"""The published registry of integrations, and the encryption of its entries."""
