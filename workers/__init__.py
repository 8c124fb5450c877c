"""The worker process: it begins deliveries, sends them to the services and settles their outcomes."""
