"""Which frames of a camera are kept, and when. Pure."""
