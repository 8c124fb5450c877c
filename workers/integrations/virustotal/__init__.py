"""VirusTotal, API v2 and v3."""
