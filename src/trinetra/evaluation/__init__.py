"""Scores the platform's output against ground truth: boxes, tracks, identities and insights."""
