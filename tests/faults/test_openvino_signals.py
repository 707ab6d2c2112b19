"""OpenVINO must not leave the main thread with a signal stack that it has freed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.weights

# The network is loaded in the main thread and dropped in another, as happens when a run ends.
PROGRAM = """
import gc, os, signal, sys, threading
from pathlib import Path
import numpy as np
from trinetra.adapters.inference import openvino

engine = openvino.load(Path(sys.argv[1]), threads=1)
engine.run(np.zeros((1, 3, 112, 112), np.float32))

def drop(held):
    held.clear()
    gc.collect()

held = [engine]
del engine
thread = threading.Thread(target=drop, args=(held,))
thread.start()
thread.join()
arrived = []
signal.signal(signal.SIGUSR1, lambda *_: arrived.append(True))
os.kill(os.getpid(), signal.SIGUSR1)
print("survived" if arrived else "no signal")
"""


def test_a_signal_after_the_last_network_is_gone_does_not_crash_the_process(
    models_dir: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(models_dir / "fr_feature_dyn.onnx")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != -signal.SIGSEGV
    assert (done.returncode, done.stdout.strip()) == (0, "survived"), done.stderr
