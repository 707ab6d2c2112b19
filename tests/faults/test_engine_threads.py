"""Two lanes that infer for the first time at the same moment must not wait for each other."""

import subprocess
import sys

import pytest

LANES = """
import faulthandler, sys, threading
import numpy as np
import openvino as ov
from trinetra.adapters.inference import openvino

faulthandler.dump_traceback_later(60, exit=True)  # a deadlock can be told by nothing but patience
openvino._core("CPU")
sys.setswitchinterval(1e-6)
begin = threading.Barrier(2)

def lane():
    begin.wait()
    ov.Type.f32.to_dtype()

lanes = [threading.Thread(target=lane, daemon=True) for _ in range(2)]
for thread in lanes:
    thread.start()
for thread in lanes:
    thread.join()
"""


@pytest.mark.parametrize("attempt", range(3))
def test_two_lanes_may_begin_at_the_same_moment(attempt: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LANES], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
