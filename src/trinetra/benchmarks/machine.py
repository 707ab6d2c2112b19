"""Description of the machine that a figure was measured on."""

import os
import platform
from importlib.metadata import version

from trinetra import __version__

_PACKAGES = ("av", "numpy", "onnxruntime", "openvino", "opencv-python-headless", "qdrant-edge-py")


def describe_machine() -> dict[str, object]:
    """Return the processor, its cores, the system and the versions that matter."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "trinetra": __version__,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  it is no real file
            names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
            return next(names, platform.machine())
    except OSError:
        return platform.machine()
