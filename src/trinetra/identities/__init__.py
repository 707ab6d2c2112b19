"""identity-resolver: detections in frame order become tracks, and tracks become identities."""
