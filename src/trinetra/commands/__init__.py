"""The command line, one module per group of commands; ``trinetra.cli`` puts them together."""
