"""Frame sources for cameras and recordings, read with PyAV."""
