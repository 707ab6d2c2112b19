"""Measures the errors of detections on labeled footage, as statistics for a simulation."""
