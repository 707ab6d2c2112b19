"""Journeys of customers through the zones of the site."""
