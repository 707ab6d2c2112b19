"""The twin shares no constant with the code that it tests: agreement would prove nothing."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "src" / "trinetra"
TESTED = ("detections", "identities", "insights")
LEAST_DIGITS = 3
"""A number of fewer digits may be the same by chance."""

FACTS = frozenset({127.5, 255.0, 256.0, 360.0, 365.0, 512.0, 1024.0, 1440.0, 86_400.0})
"""Numbers of bytes, pixels, dimensions and clocks, which any code may need."""

Numbers = tuple[float, ...]


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((SOURCES / folder).rglob("*.py"))]


def number(node: ast.expr) -> float | None:
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1.0, node.operand
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return sign * float(node.value)
    return None


def digits(value: float) -> int:
    """Return the number of significant digits, 0 for a fact that is nobody's choice."""
    if value in FACTS:
        return 0
    mantissa = f"{abs(value):.11e}".partition("e")[0]
    return len(mantissa.replace(".", "").rstrip("0"))


def is_telling(values: Numbers) -> bool:
    """Return whether it can hardly be chance that two places have these numbers."""
    fractions = [v for v in values if not v.is_integer()]
    return any(digits(v) >= LEAST_DIGITS for v in values) or (
        len(set(values)) > 1 and (len(fractions) > 1 or len(set(values)) > 3)
    )


def tables(tree: ast.AST) -> Iterator[Numbers]:
    """Yield every telling sequence of numbers; rows of a table one by one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            items = [i.value if isinstance(i, ast.Starred) else i for i in node.elts]
        elif isinstance(node, ast.Dict):
            items = node.values
        elif isinstance(node, ast.Call):
            items = [*node.args, *(keyword.value for keyword in node.keywords)]
        else:
            continue
        values = tuple(v for item in items if (v := number(item)) is not None)
        if len(values) > 1 and is_telling(values):
            yield values


def constants(tree: ast.AST) -> Iterator[tuple[str, float]]:
    """Yield every assigned number, default of a field or parameter, and keyword argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield from _named(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield from _named(node.target.id, node.value)
        elif isinstance(node, ast.keyword) and node.arg:
            yield from _named(node.arg, node.value)
        elif isinstance(node, ast.arguments):
            places = [*node.posonlyargs, *node.args]
            last = places[len(places) - len(node.defaults) :]
            for place, default in zip(last, node.defaults, strict=True):
                yield from _named(place.arg, default)
            for place, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
                yield from _named(place.arg, default)


def _named(name: str, node: ast.expr | None) -> Iterator[tuple[str, float]]:
    if node is not None and (value := number(node)) is not None:
        yield name.strip("_").lower(), value


def named(tree: ast.AST) -> Iterator[tuple[str, float]]:
    """Yield every constant that is not whole, with its name."""
    return ((name, value) for name, value in constants(tree) if not value.is_integer())


def singles(tree: ast.AST) -> Iterator[float]:
    """Yield every constant of many digits, whatever its name."""
    return (value for _, value in constants(tree) if digits(value) >= LEAST_DIGITS)


def shared(mine: list[str], theirs: list[str]) -> set[object]:
    """Return what two lists of source texts have in common."""
    one, other = ([ast.parse(text) for text in texts] for texts in (mine, theirs))
    found: set[object] = set()
    for of in (tables, singles, named):
        found |= {x for tree in one for x in of(tree)} & {x for tree in other for x in of(tree)}
    return found


def texts(paths: list[Path]) -> list[str]:
    return [path.read_text() for path in paths]


def test_the_twin_has_no_constant_of_the_code_under_test() -> None:
    assert shared(texts(files("twin")), texts(files(*TESTED))) == set()


def test_neither_has_the_code_that_measures_its_noise() -> None:
    assert shared(texts(files("evaluation/noise")), texts(files(*TESTED))) == set()


def lists_in(value: object) -> Iterator[Numbers]:
    if isinstance(value, dict):
        for item in value.values():
            yield from lists_in(item)
    elif isinstance(value, list):
        numbers = tuple(float(v) for v in value if type(v) in {int, float})
        if len(numbers) > 1:
            yield numbers
        for item in value:
            yield from lists_in(item)


def test_no_constant_of_the_code_under_test_is_a_measured_table() -> None:
    noise = set(lists_in(json.loads((SOURCES / "twin" / "noise.json").read_text())))
    theirs = {t for text in texts(files(*TESTED)) for t in tables(ast.parse(text))}
    assert noise & theirs == set()


@pytest.mark.parametrize(
    ("in_twin", "in_tested"),
    [
        # The faults that the twin once had.
        ("_STRAYING = np.array([[12.8, 5.2, 1.3], [14.6, 7.5, 2.4]])", "S = (*(12.8, 5.2, 1.3),)"),
        ("_TEMPLATE = np.array([[38.2946, 51.6963]])", "T = ((38.2946, 51.6963),)"),
        ("LEAST = {'a': 0.2, 'b': 0.25, 'c': 0.3}", "P = Policy(x=0.2, y=0.25, z=0.3)"),
        ("_NOSE_HEIGHT = 0.55", "_NOSE_HEIGHT = 0.55"),
        ("class Sensing:\n    min_score: float = 0.35", "Spec(min_score=0.35)"),
        ("GOOD = 0.715", "def f(x: float = 0.715) -> None: ..."),
    ],
)
def test_a_shared_constant_is_found(in_twin: str, in_tested: str) -> None:
    assert shared([in_twin], [in_tested])


def test_numbers_that_any_code_has_are_not_taken_for_shared() -> None:
    usual = "BOX = (0.0, 0.0, 1.0, 1.0)\nHALF = 0.5\nMANY = 1_000_000\nPAIR = (1, 2)"
    assert shared([usual], [usual.replace("HALF", "PART")]) == set()
