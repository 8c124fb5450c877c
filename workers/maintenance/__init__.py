"""What each worker does once a second besides delivering."""
