"""What the commands do: the ledger read and changed for an operator."""
