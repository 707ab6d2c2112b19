"""The reader of a public OCR library alone, to compare ours with on the very same photos.

``rapidocr`` is not a dependency of the product: it is imported only here. It runs PP-OCR's text
detector and recognizer on the whole photo with its defaults, on one thread.
"""

from collections.abc import Callable
from typing import Any

from trinetra.errors import ConfigurationError
from trinetra.plates.confusion import letters_and_digits
from trinetra.values import ImageBgr

_LEAST_CHARACTERS, _MOST_CHARACTERS = 4, 9
_ONE_THREAD = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Global.log_level": "error",
}


def stock_reader() -> Callable[[ImageBgr], str]:
    """Return a function that reads the plate in a photo: its surest text as long as a plate.

    The text is empty if there is none. Raises ConfigurationError if the library is not installed.
    """
    try:
        import rapidocr  # noqa: PLC0415  a development dependency
    except ImportError as cause:
        raise ConfigurationError(
            f"the stock reader needs the package `rapidocr` ({cause.name} is missing): "
            "`make setup` installs it; --no-stock leaves it out"
        ) from cause
    ocr = rapidocr.RapidOCR(params=_ONE_THREAD)
    return lambda photo: _surest(ocr(photo))


def _surest(found: Any) -> str:
    texts = (letters_and_digits(text) for text in found.txts or ())
    likely = [
        (score, text)
        for text, score in zip(texts, found.scores or (), strict=True)
        if _LEAST_CHARACTERS <= len(text) <= _MOST_CHARACTERS
    ]
    return max(likely, default=(0.0, ""))[1]
