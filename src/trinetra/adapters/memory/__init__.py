"""Ports within one process: event log, frame buffer, gallery and customer log."""
