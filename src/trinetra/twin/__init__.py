"""Digital twin of a shop: simulates people and emits the events that its cameras would produce."""
