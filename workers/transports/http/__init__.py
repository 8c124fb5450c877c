"""The HTTP transport, based on libcurl."""
