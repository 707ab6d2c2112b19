"""TRINETRA: multi-camera retail analytics."""

__version__ = "0.1.0"
