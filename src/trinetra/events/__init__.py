"""What the stages tell each other: schemas, codec and topics."""
