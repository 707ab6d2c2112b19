"""From camera to frame buffer: decode, select, encode, and come back after trouble."""
