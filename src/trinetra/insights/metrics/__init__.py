"""Metrics: one file each, with its definition and what one insight adds to it."""
