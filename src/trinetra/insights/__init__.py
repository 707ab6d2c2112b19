"""The insight engine: from who is where to footfall, stays, occupancy and visits."""
