"""`courier dead`: the group of subcommands, which filters they share, and export and import."""

from ops.cli.dead.group import command

__all__ = ["command"]
