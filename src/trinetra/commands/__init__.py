"""Command line, one module per group of commands; ``application`` has the table of them."""
