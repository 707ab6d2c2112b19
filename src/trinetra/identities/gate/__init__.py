"""Where a person may have walked: topology, travel times, recent sightings. Pure."""
