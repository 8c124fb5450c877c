"""Exporter, Flower, dashboard and alert rules."""
