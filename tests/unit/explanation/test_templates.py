"""The resolver's reasons, read from its source, all have a sentence."""

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

from trinetra.events.schema import IdentityStatus, LifecycleChange, Verdict
from trinetra.explanation import templates as words
from trinetra.values import IdentityKind

_NAME = re.compile(r"[a-z]+(_[a-z]+)*")
_SOURCES = {
    path.name: ast.parse(path.read_text())
    for path in Path(str(resources.files("trinetra.identities"))).rglob("*.py")
}
_QUALITY = ast.parse(
    resources.files("trinetra.detections").joinpath("vision/quality.py").read_text()
)


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield the names that an expression may evaluate to; interpolated parts become a star."""
    match node:
        case ast.JoinedStr(values=parts):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)
        case ast.Constant(value=str(name)):
            yield name
        case ast.IfExp(body=body, orelse=other):
            yield from (*names_in(body), *names_in(other))
        case ast.Tuple(elts=parts):
            for part in parts:
                yield from names_in(part)
        case ast.Call(args=arguments):
            for argument in arguments:
                yield from names_in(argument)
        case ast.GeneratorExp(elt=each):
            yield from names_in(each)


def decided() -> set[str]:
    """Return the possible reasons of a decision."""
    found: set[str] = set()
    for tree in _SOURCES.values():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="Decision"), args=[_, reasons, *_]):
                    found |= set(names_in(reasons))
                case ast.keyword(arg="reasons", value=reasons):
                    found |= set(names_in(reasons))
                case ast.Assign(targets=[ast.Name(id="reasons")], value=value):
                    found |= set(names_in(value))
    return found


def judged() -> set[str]:
    """Return the possible reasons of the gate."""
    found: set[str] = set()
    for node in ast.walk(_SOURCES["topology.py"]):
        match node:
            case ast.keyword(arg="reason", value=value):
                found |= set(names_in(value))
            case ast.Assign(targets=[ast.Name(id="reason")], value=value):
                found |= set(names_in(value))
            case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id="reason")])], value=value):
                found |= set(names_in(value)) - set(get_args(Verdict))
            case ast.Return(value=ast.Tuple(elts=[verdict, reason])):
                if set(names_in(verdict)) & set(get_args(Verdict)):
                    found |= set(names_in(reason))
    return found


def unusable() -> set[str]:
    """Return the possible reasons for an unusable face."""
    (function,) = (
        node
        for node in ast.walk(_QUALITY)
        if isinstance(node, ast.FunctionDef) and node.name == "unusable_reason"
    )
    names = {str(node.value) for node in ast.walk(function) if isinstance(node, ast.Constant)}
    return {name for name in names if _NAME.fullmatch(name)} | {"no_native_image"}


def test_the_source_was_understood() -> None:
    assert {"similar", "no_match", "ambiguous", "gate_impossible", "face_*"} <= decided()
    assert {"no_recent_sighting", "too_fast", "walkable", "no_route"} <= judged()
    assert {"too_small", "no_native_image"} <= unusable()


@pytest.mark.parametrize("reason", sorted(decided()))
def test_every_reason_of_a_decision_has_words(reason: str) -> None:
    filled = {"face_*": unusable(), "gate_*": set(get_args(Verdict)), "*": set()}
    rest = filled.get(reason)
    names = {reason} if rest is None else {reason.replace("*", each) for each in rest}
    assert names <= words.DECISIONS.keys()


@pytest.mark.parametrize("reason", sorted(judged()))
def test_every_reason_of_the_gate_has_words(reason: str) -> None:
    assert reason in words.GATE


@pytest.mark.parametrize("reason", sorted(unusable()))
def test_every_fault_of_a_face_has_words(reason: str) -> None:
    assert reason in words.FACES
    assert f"face_{reason}" in words.DECISIONS


def test_every_change_and_every_kind_has_words() -> None:
    assert words.CHANGES.keys() == set(get_args(LifecycleChange))
    assert words.KINDS.keys() == {str(kind) for kind in IdentityKind}
    assert set(get_args(IdentityStatus)) == {"known", "new", "unknown"}


@pytest.mark.parametrize("tell", [words.decision, words.gate, words.cause])
def test_a_reason_of_a_newer_program_is_told_by_its_name(tell: object) -> None:
    assert callable(tell)
    assert "written in the stars" in str(tell("written_in_the_stars"))
