"""Writes a new service module with its tests, documentation and demo into a checkout: `make new-service NAME=zulip`."""
