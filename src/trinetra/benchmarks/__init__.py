"""Measurements of this machine, behind ``trinetra bench``; each returns plain values for JSON."""
