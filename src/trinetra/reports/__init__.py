"""Reports: figures as documents, tables and files that people and other programs read."""
