"""Templates: escaped by default, strict about names, in the language of the page."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from trinetra.web.charts import sparkline
from trinetra.web.locales import LANGUAGES, Words
from trinetra.web.told import translated


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
    made.globals.update(languages=LANGUAGES, sparkline=sparkline)
    made.filters.update(
        number=words.number,
        percent=words.percent,
        seconds=words.seconds,
        span=words.span,
        told=lambda text: translated(str(text), words.text),
        value=words.value,
    )
    return made
