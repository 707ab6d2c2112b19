"""Spatiotemporal gate: site topology, travel times and recent sightings. Pure."""
