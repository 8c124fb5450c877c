"""The transports of calls: HTTP, script processes and the manager's queue socket."""
