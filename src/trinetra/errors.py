"""Every planned failure: one root, one class per response a caller can plan for.

A message says what happened, where, and what to do. It never carries a secret.
"""


class TrinetraError(Exception):
    """Root of every failure that TRINETRA plans for; the CLI prints it without a traceback."""


class ConfigurationError(TrinetraError):
    """The site file or the settings cannot be used; the user must edit them. Exit code 1."""


class ModelUnavailable(TrinetraError):
    """A model file is missing or not the declared one, and no source could replace it."""


class SampleUnavailable(TrinetraError):
    """A sample clip is missing and no source could provide it."""


class SourceUnavailable(TrinetraError):
    """A camera cannot be reached now; retry with backoff."""


class SourceRefused(SourceUnavailable):
    """A camera answered and refused (credentials, unknown path); retry slowly and tell the user."""


class SourceStalled(SourceUnavailable):
    """A camera stopped sending frames without closing the connection; reconnect."""


class FrameRejected(TrinetraError):
    """One frame cannot be used; count it under ``reason`` and go on.

    ``reason`` is undecodable, too_small or too_large.
    """

    def __init__(self, message: str, *, reason: str = "undecodable") -> None:
        super().__init__(message)
        self.reason = reason


class PhotoRejected(TrinetraError):
    """A photo does not show the face of one person well enough; nothing was kept, take another."""


class MalformedEvent(TrinetraError):
    """Bytes in the log are not a valid event; send them to the dead-letter topic and go on."""


class MalformedState(TrinetraError):
    """What a service remembered of a partition cannot be read; count it and begin anew."""


class CustomerConflict(TrinetraError):
    """A change contradicts what is known of a customer; nothing was changed, choose another."""


class EngineFailure(TrinetraError):
    """An inference engine could not load a model or run a batch; the worker must stop."""


class ServerUnavailable(TrinetraError):
    """A server that others run does not answer now; wait and try again."""


class GalleryUnavailable(ServerUnavailable):
    """The gallery does not answer; identities go out as unknown until it returns."""


class BufferUnavailable(ServerUnavailable):
    """The frame buffer does not answer; drop and count frames, or wait and read again."""


class CameraTaken(BufferUnavailable):
    """Another ingestor puts this camera's frames into the buffer; stand by until it stops."""


class EventLogUnavailable(ServerUnavailable):
    """The event log does not acknowledge; spool or retry."""


class StoreUnavailable(ServerUnavailable):
    """The insight store does not answer; wait and record again."""


class StorageFull(TrinetraError):
    """The data folder takes no more bytes; free space and restart."""


class PartitionsLost(EventLogUnavailable):
    """Nothing was committed for ``partitions``; forget what was derived from them and poll on.

    Another member owns them now, or the log did not answer: the next poll tells whose they are.
    """

    def __init__(self, message: str, partitions: frozenset[tuple[str, int]]) -> None:
        super().__init__(message)
        self.partitions = partitions
