"""The gallery embedded in this installation: the Qdrant engine in a child process."""
