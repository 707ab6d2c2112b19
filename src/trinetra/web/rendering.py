"""Templates: escaped by default, strict about names, in the language of the page."""

from collections.abc import Callable
from functools import lru_cache
from gettext import NullTranslations
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from trinetra.web.charts import sparkline
from trinetra.web.locales import LANGUAGES, Words
from trinetra.web.told import translated


def _gettext(translations: NullTranslations) -> Callable[..., str]:
    """Return ``_`` for templates: a message is a format only where values are given for it.

    Jinja's own takes every message for one, and fails on a title like "Waiting time (90 %)";
    and for HTML, also what a variable says.
    """

    @pass_eval_context
    def gettext(context: EvalContext, text: str, **values: Any) -> str:
        told = translations.gettext(text)
        if not values:
            return told  # escaped where it is shown: it may be a variable
        return (Markup(told) if context.autoescape else told) % values  # noqa: S704 - ours

    return gettext


@lru_cache(maxsize=len(LANGUAGES))
def environment(words: Words) -> Environment:
    """Return the templates in one language."""
    made = Environment(
        loader=PackageLoader("trinetra.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(words.translations, newstyle=True)  # type: ignore[attr-defined]
    made.globals.update(
        languages=LANGUAGES, sparkline=sparkline, gettext=_gettext(words.translations)
    )
    made.filters.update(
        number=words.number,
        percent=words.percent,
        seconds=words.seconds,
        span=words.span,
        told=lambda text: translated(str(text), words.text),
        value=words.value,
    )
    return made
