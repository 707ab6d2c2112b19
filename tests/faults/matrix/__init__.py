"""The crash matrix: real processes and servers, faults on purpose, and a count of what is lost."""
