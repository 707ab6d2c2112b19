"""In-process adapters: event log, frame buffer, gallery and customer log."""
