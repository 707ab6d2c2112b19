"""Engines keep to themselves: what is inferred here is nobody's business elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Nothing leaves. The interpreter waits at its end for the threads that report.
PROGRAM = """
import socket, sys

def refuse(event, arguments):
    if event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"}:
        print(event, arguments, flush=True)
        raise OSError("refused by the test")

sys.addaudithook(refuse)
if sys.argv[1] == "ours":
    import trinetra.adapters
import openvino as ov
from openvino import opset13 as ops

image = ops.parameter([1, 3, 8, 8], ov.Type.f32)
compiled = ov.Core().compile_model(ov.Model([ops.relu(image)], [image], "small"), "CPU")
compiled.create_infer_request()
import onnxruntime
"""


def reported(importing: str, home: Path) -> str:
    """Return every try to reach a host; telemetry is on for this user, outside of CI."""
    clean = {k: v for k, v in os.environ.items() if k not in {"CI", "TF_BUILD", "JENKINS_URL"}}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, importing],
        env={**clean, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_engines_reach_for_no_host_and_leave_nothing_at_home(tmp_path: Path) -> None:
    assert reported("ours", tmp_path) == ""
    assert not list(tmp_path.iterdir())


def test_the_vendors_own_import_would_be_seen_to_report(tmp_path: Path) -> None:
    if "google" not in reported("theirs", tmp_path):
        pytest.skip("this OpenVINO reports nothing by itself")
