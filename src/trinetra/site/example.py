"""The commented example that `trinetra init` writes."""

from importlib.resources import files

EXAMPLE = files("trinetra.site").joinpath("example.yaml").read_text(encoding="utf-8")
