"""What each worker does once a second in addition to delivering."""
