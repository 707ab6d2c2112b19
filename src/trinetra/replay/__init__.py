"""Replay of recorded detections through the services, and the history of their events."""
