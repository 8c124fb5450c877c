"""The Grafana dashboard, made from code, and what provisions it."""
