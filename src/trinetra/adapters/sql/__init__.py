"""Insight store, customer log and erasure store on SQLite or PostgreSQL."""
