"""The documentation's generated pages and the scripts that write them."""
