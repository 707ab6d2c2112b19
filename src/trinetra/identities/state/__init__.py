"""What a resolver keeps of one partition, in memory and as bytes. Pure."""
