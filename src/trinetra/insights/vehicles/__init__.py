"""Vehicles of the whole site: their visits, the customers who came by them, and regulars."""
