"""Visits of customers over all cameras of a site. Pure."""
