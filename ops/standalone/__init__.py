"""`courier up`: everything on one machine."""
