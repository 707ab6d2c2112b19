"""Insight engine: turns identified tracks into footfall, stays, occupancy and visits."""
