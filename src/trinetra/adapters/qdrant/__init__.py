"""Gallery on a Qdrant server."""
