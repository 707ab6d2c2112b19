"""Cameras and recordings, read with PyAV."""
