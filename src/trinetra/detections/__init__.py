"""Detection of people, vehicles and faces in buffered frames."""
