"""Replays recorded detections through the services, and reads back what they said before."""
