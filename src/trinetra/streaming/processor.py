"""What a stage writes to consume a topic: the Processor that a StreamRunner drives."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from trinetra.events.topics import Topic
from trinetra.ports import Delivery, Record, TopicPartition
from trinetra.streaming.retry import Retrier

StateChanges = Mapping[str, bytes | None]
"""New values of a partition's state by key; None deletes the key."""


@dataclass(slots=True)
class PartitionOutput:
    """What a processor made of one partition, committed as a whole.

    ``next_offset`` is the first record to be delivered again after a crash; None if no record
    caused the output, and the group's offset does not move.
    """

    next_offset: int | None = None
    records: list[Record] = field(default_factory=list)
    state: StateChanges = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return self.next_offset is None and not self.records and not self.state


OutputT = TypeVar("OutputT", bound=PartitionOutput)


class Processor(Protocol[OutputT]):
    """Consumes the partitions of one topic that this process owns, with state per partition.

    All of its outputs follow from the records of a partition in order, and from the state that the
    partition's previous owner committed: a batch that is processed again gives the same outputs.
    """

    @property
    def topic(self) -> Topic:
        """The topic that is consumed."""

    @property
    def state_topic(self) -> Topic | None:
        """The compacted topic, partitioned as the consumed one, that keeps its state.

        None for a processor without state.
        """

    @property
    def held_back(self) -> int:
        """How many records were processed but must be delivered again after a crash."""

    def restore(self, where: TopicPartition, number: int, state: Mapping[str, bytes]) -> None:
        """Take a partition over in the state that was committed last.

        ``number`` identifies the assignment: it rises with every new one of the partition.
        """

    def revoke(self, where: TopicPartition) -> None:
        """Drop a partition: another member owns it, or its last commit failed."""

    def process(
        self, deliveries: Sequence[Delivery], retrier: Retrier
    ) -> AsyncIterator[Mapping[TopicPartition, OutputT]]:
        """Process a batch, possibly empty, and yield what is to be committed, in steps.

        Each yielded mapping is committed before the next step runs. By then ``revoke`` was called
        for every partition whose commit failed. ``retrier`` is for calls that the batch cannot be
        processed without.
        """

    def flush(self) -> AsyncIterator[Mapping[TopicPartition, OutputT]]:
        """End everything that is still going on, for good: no process continues with the state."""

    async def before_commit(self, outputs: Mapping[TopicPartition, OutputT]) -> None:
        """Apply effects that must be durable before events tell of them.

        Called again after an outage, for the partitions that are still owned: idempotent. Raises
        ServerUnavailable.
        """

    async def after_commit(self, committed: Mapping[TopicPartition, OutputT]) -> None:
        """Apply effects that must follow from committed events only; handles its own outages."""

    def status(self) -> Mapping[str, object]:
        """Return figures for the health page."""
