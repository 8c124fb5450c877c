"""HTTP calls through libcurl."""
