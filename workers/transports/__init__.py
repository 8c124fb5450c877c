"""How a call leaves the machine: HTTP, a script's process, the manager's queue socket."""
