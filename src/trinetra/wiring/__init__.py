"""The one composition root: site file and settings in, running services out."""
