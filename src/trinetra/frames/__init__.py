"""Frame ingestion, from camera to frame buffer: decode, sample, encode, reconnect."""
