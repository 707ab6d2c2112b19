"""Attributes receipts to the people at the tills."""
