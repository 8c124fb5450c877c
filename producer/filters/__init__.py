"""The filters of ossec.conf, as the stock Integrator applies them."""
