"""Exception hierarchy for planned failures: one root, one class per possible response.

A message says what happened, where, and what to do. It never contains a secret.
"""


class TrinetraError(Exception):
    """Root of all planned failures; the CLI prints it without a traceback."""


class ConfigurationError(TrinetraError):
    """The site file or the settings are invalid; the user must edit them. Exit code 1."""


class ModelUnavailable(TrinetraError):
    """A model file is missing or not the declared one, and no source could replace it."""


class SampleUnavailable(TrinetraError):
    """A sample clip is missing and no source could provide it."""


class NoSamples(SampleUnavailable):
    """There is no sample clip at all, and no source can be reached."""


class SourceUnavailable(TrinetraError):
    """A camera cannot be reached; retry with backoff."""


class SourceRefused(SourceUnavailable):
    """A camera refused the credentials; retry rarely, because cameras lock accounts."""


class SourceAbsent(SourceUnavailable):
    """A camera answered, but has no such stream, or not yet; retry with backoff, tell the user."""


class SourceStalled(SourceUnavailable):
    """A camera stopped sending frames without closing the connection; reconnect."""


class FrameRejected(TrinetraError):
    """One frame is unusable; count it under ``reason`` and continue.

    ``reason`` is undecodable, too_small or too_large.
    """

    def __init__(self, message: str, *, reason: str = "undecodable") -> None:
        super().__init__(message)
        self.reason = reason


class PhotoRejected(TrinetraError):
    """A photo does not show one person's face well enough; nothing was stored, use another."""


class MalformedEvent(TrinetraError):
    """Bytes in the log are not a valid event; send them to the dead-letter topic and continue."""


class MalformedState(TrinetraError):
    """A service's saved state of a partition cannot be read; count it and start empty."""


class CustomerConflict(TrinetraError):
    """A change contradicts a customer's state; nothing was changed, choose another change."""


class UnknownCustomer(CustomerConflict):
    """No customer has this id, or none any more; choose another."""


class EngineFailure(TrinetraError):
    """An inference engine could not load a model or run a batch; the worker must stop."""


class ServerUnavailable(TrinetraError):
    """An external server does not respond; wait and retry."""


class GalleryUnavailable(ServerUnavailable):
    """The gallery does not respond; identities are emitted as unknown until it returns."""


class BufferUnavailable(ServerUnavailable):
    """The frame buffer does not respond; drop and count frames, or wait and read again."""


class CameraTaken(BufferUnavailable):
    """Another ingestor writes this camera's frames to the buffer; stand by until it stops."""


class EventLogUnavailable(ServerUnavailable):
    """The event log does not acknowledge; spool or retry."""


class StoreUnavailable(ServerUnavailable):
    """The insight store does not respond; wait and record again."""


class DeliveryFailed(ServerUnavailable):
    """A channel of alerts did not take a message; send it again later."""


class DeliveryRefused(TrinetraError):
    """A channel of alerts will never take this message; list it as undeliverable."""


class StorageFull(TrinetraError):
    """The disk of the data folder is full; free space and restart."""


class FileRefused(TrinetraError):
    """A file that users edit cannot be read or written; nothing was changed, see the message."""


class PartitionsLost(EventLogUnavailable):
    """Nothing was committed for ``partitions``; discard state derived from them and poll again.

    Another member owns them now, or the log did not answer: the next poll returns the new
    assignment.
    """

    def __init__(self, message: str, partitions: frozenset[tuple[str, int]]) -> None:
        super().__init__(message)
        self.partitions = partitions
