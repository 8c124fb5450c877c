"""What Courier's web pages, Flower's and the console's, share."""
