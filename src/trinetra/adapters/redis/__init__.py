"""The frame buffer on Redis Streams."""
