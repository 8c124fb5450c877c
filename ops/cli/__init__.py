"""The command `courier`, one file per group of subcommands."""
