"""Tracking within one camera: motion, appearance, faces and association. Pure."""
