"""Any service that takes JSON over HTTP."""
