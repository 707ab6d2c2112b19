"""A resolver's state of one partition, in memory and as snapshots. Pure."""
