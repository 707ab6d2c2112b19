"""A Mosquitto broker for MQTT on loopback, with a password, which can be stopped and restarted."""

import shutil
import subprocess
from pathlib import Path
from typing import Self

from trinetra.devservers.network import free_port
from trinetra.devservers.process import ServerMissing

USER, PASSWORD = "shop", "open-sesame"


def find_mosquitto() -> Path:
    """Return the broker's program. Raises ServerMissing."""
    for place in (shutil.which("mosquitto"), "/usr/sbin/mosquitto"):
        if place and Path(place).exists():
            return Path(place)
    raise ServerMissing("no Mosquitto is installed: apt-get install mosquitto")


class MosquittoServer:
    """A broker without persistence: it forgets what was retained when it stops."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.port = free_port()
        self._program = program
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        maker = shutil.which("mosquitto_passwd") or str(program.parent / "mosquitto_passwd")
        subprocess.run([maker, "-b", str(passwords), USER, PASSWORD], check=True)
        owner = "user root\n" if folder.owner() == "root" else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {passwords}\npersistence false\n{owner}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker; it takes connections when this returns or soon after."""
        command = [str(self._program), "-c", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        """Stop the broker and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
