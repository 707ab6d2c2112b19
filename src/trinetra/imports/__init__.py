"""Reads tables of other systems: CSV and JSON lines, by a mapping of their columns."""
