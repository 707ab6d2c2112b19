"""Frame buffer on Redis Streams."""
