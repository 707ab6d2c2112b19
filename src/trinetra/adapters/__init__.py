"""Adapters that implement the ports; vendor libraries are imported only here."""

import os

# ONNX Runtime's official builds send telemetry to their vendor as soon as they are imported, and
# leave a session file in the temporary folder. No data about a shop may leave it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
