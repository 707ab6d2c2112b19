"""Decisions on identities: matching, duplicates, lifecycle and alerts. Pure."""
