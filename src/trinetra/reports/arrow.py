"""Arrow tables of figures, events and scores, for pandas, Polars, DuckDB and others."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
from msgspec import inspect

from trinetra.events.figures import FigureTable

_SCALARS: Mapping[type[inspect.Type], pa.DataType] = {
    inspect.StrType: pa.string(),
    inspect.EnumType: pa.string(),
    inspect.DictType: pa.string(),
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.BoolType: pa.bool_(),
    inspect.BytesType: pa.binary(),
}


def figures_table(table: FigureTable, units: Mapping[str, str]) -> pa.Table:
    """Return one row per figure, by metric, place and time; times are by the shop's clock."""
    instant = pa.timestamp("us", tz=table.timezone)
    columns = {
        "metric": pa.string(),
        "version": pa.int64(),
        "unit": pa.string(),
        "place": pa.string(),
        "start": instant,
        "end": instant,
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "completeness": pa.float64(),
        "imputed": pa.bool_(),
        "currency": pa.string(),
    }
    about = {"site": table.site, "granularity": table.granularity}
    rows = [
        msgspec.structs.asdict(figure) | {"unit": units[figure.metric]} for figure in table.figures
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items()), metadata=about))


def events_table(kind: type[msgspec.Struct], events: Iterable[Any], timezone: str) -> pa.Table:
    """Return one row per event of one type, with its fields as columns.

    A field that an event does not have is null. Nested fields are structs and lists, and mappings
    are JSON text.
    """
    columns = _columns(inspect.type_info(kind), timezone)
    return pa.Table.from_pylist([_plain(event) for event in events], schema=pa.schema(columns))


def rows_table(kind: type[NamedTuple], rows: Iterable[NamedTuple]) -> pa.Table:
    """Return one row per tuple of one type, whose fields are texts, numbers or None."""
    columns = _columns(inspect.type_info(kind), "UTC")
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=pa.schema(columns))


def _columns(info: inspect.Type, timezone: str) -> list[pa.Field]:
    if not isinstance(info, inspect.StructType | inspect.NamedTupleType):
        raise TypeError(f"a table has no columns for {info}")
    return [pa.field(field.encode_name, _type(field.type, timezone)) for field in info.fields]


def _plain(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            present = (
                (name, held)
                for name in value.__struct_fields__
                if (held := getattr(value, name)) is not msgspec.UNSET
            )
            return {name: _plain(held) for name, held in present}
        case tuple():
            return [_plain(each) for each in value]
        case dict():
            return msgspec.json.encode(value).decode()
        case Enum():
            return value.value
        case _:
            return value


def _type(info: inspect.Type, timezone: str) -> pa.DataType:  # noqa: PLR0911 -- a table
    """Return the Arrow type of the values of a msgspec type."""
    match info:
        case inspect.DateTimeType():
            return pa.timestamp("us", tz=timezone)
        case inspect.LiteralType(values=(value, *_)):
            return pa.string() if isinstance(value, str) else pa.int64()
        case inspect.VarTupleType(item_type=item):
            return pa.list_(_type(item, timezone))
        case inspect.TupleType(item_types=(item, *rest)):
            return pa.list_(_type(item, timezone), 1 + len(rest))
        case inspect.StructType():
            return pa.struct(_columns(info, timezone))
        case inspect.UnionType(types=types):
            [known] = [each for each in types if not isinstance(each, inspect.NoneType)]
            return _type(known, timezone)
        case _:
            return _SCALARS[type(info)]
