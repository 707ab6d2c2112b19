"""Adapters that implement the ports; vendor libraries are imported only here.

No data about a shop may leave it, and two libraries report to their vendors as soon as they are
imported. Both reporters are switched off here, before any module of this package imports them.
"""

import os
import sys

# ONNX Runtime's official builds would also leave a session file in the temporary folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# OpenVINO reports every import to Google Analytics and writes a user id to ~/intel, unless the user
# has opted out in a file there. If its reporter cannot be imported, which None ensures, it uses a
# stub of its own: the only switch that changes neither the home folder nor the environment.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
