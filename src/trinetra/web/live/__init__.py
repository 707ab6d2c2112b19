"""Live pictures, positions and events: what happens now, made once for all viewers."""
