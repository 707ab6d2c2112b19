"""The world behind the ports; vendors' libraries are imported here alone.

What happens in a shop stays there, and two libraries report to their makers from the moment they
are imported. Both are kept from it here, before any module of this package can import them.
"""

import os
import sys

# ONNX Runtime's official builds also leave a session file in the temporary folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# OpenVINO tells Google Analytics of every import, and writes an id of the user to ~/intel, unless
# that user has opted out in a file there. Where its reporter cannot be imported, which None makes
# so, it takes a stub of its own: the only switch that leaves home and environment as they are.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
