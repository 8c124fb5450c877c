"""The alert as service modules and scripts get it."""
