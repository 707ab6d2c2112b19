"""Real servers on loopback, for tests and for trying the distributed services on one machine."""
