"""Queues at tills: who waited how long and was served, and how long the next will wait."""
