"""Translates sentences that other layers write in English: about alerts, metrics, counts and setup.

A sentence is found by its pattern. What fills a pattern stays as it is, unless its name is one of
``PHRASES``. A text of several sentences is translated sentence by sentence. What has no pattern
stays English; docs/web-languages.md says what that is.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from trinetra.web.sentences import PHRASES, SENTENCES

_SLOT = re.compile(r"%\((\w+)\)s")
_SENTENCES_END = re.compile(r"(?<=\.) ")
_LONGEST = 2000
"""Longer texts are none of these sentences, and matching takes time that grows with the square."""
Translate = Callable[[str], str]


def translated(text: str, translate: Translate) -> str:
    """Return a text of another layer in the language of ``translate``, as far as it is known."""
    if len(text) > _LONGEST:
        return text
    whole = _sentence(text, translate)
    if whole is not None:
        return whole
    parts = _SENTENCES_END.split(text)
    return " ".join(_sentence(part, translate) or part for part in parts)


def _sentence(text: str, translate: Translate) -> str | None:
    return _by_pattern(text, SENTENCES, translate)


def _by_pattern(text: str, messages: tuple[str, ...], translate: Translate) -> str | None:
    exact, patterns = _compiled(messages)
    if text in exact:
        return translate(text)
    for told, pattern in patterns:
        if found := pattern.fullmatch(text):
            return _filled(translate(told), found.groupdict(), translate)
    return None


def _filled(told: str, values: Mapping[str, str], translate: Translate) -> str:
    def value(slot: re.Match[str]) -> str:
        name = slot[1]
        phrase = _by_pattern(values[name], PHRASES.get(name, ()), translate)
        return values[name] if phrase is None else phrase

    return _SLOT.sub(value, told)


@cache
def _compiled(
    messages: tuple[str, ...],
) -> tuple[frozenset[str], tuple[tuple[str, re.Pattern[str]], ...]]:
    """Return the messages without slots, and the patterns of the others."""
    exact = frozenset(told for told in messages if not _SLOT.search(told))
    patterns = ((told, _pattern(_SLOT.split(told))) for told in messages if told not in exact)
    return exact, tuple(patterns)


def _pattern(parts: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a message that is split into texts and names of slots."""
    written = [
        f"(?P<{part}>{_filler(part)})" if is_slot % 2 else re.escape(part)
        for is_slot, part in enumerate(parts)
    ]
    return re.compile("".join(written), re.DOTALL)


def _filler(slot: str) -> str:
    """Return the pattern of what fills a slot: anything, or one of its phrases."""
    return "|".join(_SLOT.sub(".+?", phrase) for phrase in PHRASES.get(slot, (".+?",)))
