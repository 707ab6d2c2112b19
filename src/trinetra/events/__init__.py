"""Events between the stages: schemas, codec and topics."""
