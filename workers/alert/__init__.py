"""The alert that service modules and scripts receive."""
