"""What an attacker may try at each door; one file a door. SECURITY.md says what each is worth to him."""
