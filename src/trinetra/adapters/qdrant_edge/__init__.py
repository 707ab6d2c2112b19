"""Embedded gallery: the Qdrant engine in a child process."""
