"""Scores what the platform said against what was so: boxes, tracks, identities and insights."""
