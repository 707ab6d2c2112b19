"""Which detection continues which track of one camera. Pure."""
