"""The world behind the ports; vendors' libraries are imported here alone."""

import os

# ONNX Runtime's official builds report to their maker from the moment they are imported, and leave
# a session file in the temporary folder. What happens in a shop stays there.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
