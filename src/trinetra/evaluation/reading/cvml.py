"""Reads ground truth in CVML, the XML format of the PETS and CAVIAR annotations.

``<frame number="0"><objectlist><object id="1"><box xc= yc= w= h=/>``: boxes by center and size. T.
List and R. B. Fisher, CVML: an XML-based computer vision markup language, ICPR 2004.
"""

import math
from pathlib import Path
from xml.parsers import expat

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import BoxesBuilder
from trinetra.evaluation.reading.lines import malformed, unreadable
from trinetra.evaluation.reading.motchallenge import frame_interval_us, frame_time_us
from trinetra.evaluation.truth import ONLY_CAMERA, Truth


def read_cvml(path: Path, *, fps: float | None = None) -> Truth:
    """Return the truth of one camera, with times from the start of the recording.

    A frame that the file leaves out was not annotated. Raises ConfigurationError with file and
    line, or if ``fps`` is missing.
    """
    frame_us = frame_interval_us(path, fps)
    reader = _Reader(path, frame_us)
    try:
        reader.parser.Parse(path.read_bytes(), True)
    except OSError as cause:
        raise unreadable(path, cause) from cause
    except expat.ExpatError as cause:
        raise malformed(path, cause.lineno, f"not XML: {expat.ErrorString(cause.code)}") from cause
    if reader.frames == 0:
        raise ConfigurationError(f"{path}: no <frame> element, so this is not CVML")
    return Truth({ONLY_CAMERA: reader.boxes.build()}, is_dated=False, frame_us=round(frame_us))


class _Reader:
    """Collects boxes from the elements as they start, and reports errors with their line."""

    def __init__(self, path: Path, frame_us: float) -> None:
        self.boxes = BoxesBuilder()
        self.frames = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        # Annotations need no entities; a file that declares them may be an entity expansion attack.
        self.parser.EntityDeclHandler = self._refuse_entity
        self._path = path
        self._frame_us = frame_us
        self._at_us: int | None = None
        self._name: str | None = None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "frame":
            index = self._number(attributes, "frame", "number")
            if index < 0 or index % 1:
                raise self._fault("frame numbers are 0, 1, 2, ...")
            self._at_us = frame_time_us(int(index), self._frame_us)
            self.boxes.frame(self._at_us)
            self.frames += 1
        elif tag == "object":
            self._name = attributes.get("id")
        elif tag == "box" and self._at_us is not None and self._name is not None:
            self.boxes.add(self._at_us, self._name, self._box(attributes))

    def _end(self, tag: str) -> None:
        if tag == "frame":
            self._at_us = None
        elif tag == "object":
            self._name = None

    def _box(self, attributes: dict[str, str]) -> tuple[float, float, float, float]:
        x, y, width, height = (
            self._number(attributes, "box", key) for key in ("xc", "yc", "w", "h")
        )
        if width < 0 or height < 0:
            raise self._fault("the sides of a box must not be negative")
        return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def _number(self, attributes: dict[str, str], tag: str, key: str) -> float:
        try:
            value = float(attributes[key])
        except (KeyError, ValueError) as cause:
            raise self._fault(f"<{tag}> needs a number as {key}") from cause
        if not math.isfinite(value):
            raise self._fault(f"<{tag}> needs a finite number as {key}")
        return value

    def _refuse_entity(self, *_: object) -> None:
        raise self._fault("declares entities, which no annotation needs")

    def _fault(self, what: str) -> ConfigurationError:
        return malformed(self._path, self.parser.CurrentLineNumber, what)
