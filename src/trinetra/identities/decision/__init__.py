"""Whether two faces are one person, and what follows from that. Pure."""
