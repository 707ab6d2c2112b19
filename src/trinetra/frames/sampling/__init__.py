"""Frame sampling: motion, sample rate and pacing. Pure."""
