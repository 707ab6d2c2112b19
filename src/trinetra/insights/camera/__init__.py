"""Insights from one camera: crossings, stays and occupancy. Pure."""
