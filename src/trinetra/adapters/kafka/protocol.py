"""The four requests of Kafka's protocol that aiokafka does not have in the version we need.

Field by field as in Kafka's protocol guide (kafka.apache.org/protocol).
"""

from collections.abc import Mapping, Sequence

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

FENCED_INSTANCE_ID = 82
UNSTABLE_OFFSET_COMMIT = 88

_TEXT = String("utf-8")
_COMPACT_TEXT = CompactString("utf-8")


class _OffsetFetchResponse(Response):
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _COMPACT_TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _COMPACT_TEXT),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _OffsetFetchStruct(RequestStruct):
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetFetchResponse
    SCHEMA = Schema(
        ("group", _COMPACT_TEXT),
        (
            "topics",
            CompactArray(
                ("name", _COMPACT_TEXT),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsetFetchRequest(Request[_OffsetFetchStruct]):
    """Committed offsets, refused while a transaction about them is unfinished (KIP-447)."""

    API_KEY = 9

    def __init__(self, group: str, topics: Sequence[tuple[str, Sequence[int]]]) -> None:
        self._group = group
        self._topics = topics

    def build(self, request_struct_class: type[_OffsetFetchStruct]) -> _OffsetFetchStruct:
        """Return the request as it goes over the wire."""
        tags: dict[int, bytes] = {}
        topics = [(name, partitions, tags) for name, partitions in self._topics]
        return request_struct_class(self._group, topics, True, tags)


class _HeartbeatResponse(Response):
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _HeartbeatStruct(RequestStruct):
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", _TEXT), ("generation", Int32), ("member_id", _TEXT), ("instance_id", _TEXT)
    )


class StaticHeartbeatRequest(Request[_HeartbeatStruct]):
    """A heartbeat that names the instance, so that a replaced one learns of it (KIP-345)."""

    API_KEY = 12

    def __init__(self, group: str, generation: int, member_id: str, instance_id: str) -> None:
        self._fields = (group, generation, member_id, instance_id)

    def build(self, request_struct_class: type[_HeartbeatStruct]) -> _HeartbeatStruct:
        """Return the request as it goes over the wire."""
        return request_struct_class(*self._fields)


class _LeaveGroupResponse(Response):
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(("member_id", _TEXT), ("instance_id", _TEXT), ("error_code", Int16)),
        ),
    )


class _LeaveGroupStruct(RequestStruct):
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse
    SCHEMA = Schema(
        ("group", _TEXT), ("members", Array(("member_id", _TEXT), ("instance_id", _TEXT)))
    )


class StaticLeaveRequest(Request[_LeaveGroupStruct]):
    """Leaves a group as the static member that one is (KIP-345); aiokafka's cannot."""

    API_KEY = 13

    def __init__(self, group: str, member_id: str, instance_id: str) -> None:
        self._group = group
        self._member = (member_id, instance_id)

    def build(self, request_struct_class: type[_LeaveGroupStruct]) -> _LeaveGroupStruct:
        """Return the request as it goes over the wire."""
        return request_struct_class(self._group, [self._member])


class _AlterConfigsResponse(Response):
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(("error_code", Int16), ("told", _TEXT), ("kind", Int8), ("name", _TEXT)),
        ),
    )


class _AlterConfigsStruct(RequestStruct):
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _AlterConfigsResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("kind", Int8),
                ("name", _TEXT),
                ("configs", Array(("name", _TEXT), ("operation", Int8), ("value", _TEXT))),
            ),
        ),
        ("validate_only", Boolean),
    )


class AlterTopicsRequest(Request[_AlterConfigsStruct]):
    """Sets some settings of topics and leaves their others alone (KIP-339); aiokafka's cannot."""

    API_KEY = 44
    _TOPIC, _SET = 2, 0

    def __init__(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        self._settings = settings

    def build(self, request_struct_class: type[_AlterConfigsStruct]) -> _AlterConfigsStruct:
        """Return the request as it goes over the wire."""
        rows = [
            (self._TOPIC, name, [(key, self._SET, value) for key, value in wanted.items()])
            for name, wanted in self._settings.items()
        ]
        return request_struct_class(rows, False)
