"""Characters are corrected by the formats of countries, and plates of no format stay as read."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.plates.confusion import are_alike, folded, letters_and_digits
from trinetra.plates.countries import FORMATS, fit_country

COUNTRIES = sorted(FORMATS)
ASCII = string.ascii_uppercase + string.digits


@st.composite
def plates(draw, countries=COUNTRIES):
    """Return a country and a plate of one of its formats."""
    country = draw(st.sampled_from(countries))
    pattern = draw(st.sampled_from(FORMATS[country]))
    kinds = {"L": string.ascii_uppercase, "D": string.digits}
    return country, "".join(draw(st.sampled_from(kinds.get(c, c))) for c in pattern)


@pytest.mark.parametrize(
    ("read", "countries", "fitted"),
    [
        ("KAO1AB1234", ["IN"], ("KA01AB1234", "IN", 1)),
        ("KA01A81234", ["IN"], ("KA01AB1234", "IN", 1)),
        ("KA01AB123A", ["IN"], ("KA01AB1234", "IN", 1)),
        ("22BH1234AA", ["IN"], ("22BH1234AA", "IN", 0)),
        ("228H1234AA", ["IN"], ("22BH1234AA", "IN", 1)),
        ("8A738DE", ["SK"], ("BA738DE", "SK", 1)),
        ("UH1FOF", ["US-MO"], ("UH1F0F", "US-MO", 1)),
        ("AB12CDE", ["GB"], ("AB12CDE", "GB", 0)),
        ("RK755AJ", ["CZ", "SK"], ("RK755AJ", "SK", 0)),
        ("KCS1M", ["US-CA", "US-FL"], ("KCS1M", None, 0)),
        ("8O80180", ["GB"], ("8O80180", None, 0)),
        ("", ["IN"], ("", None, 0)),
        ("KA01AB1234", [], ("KA01AB1234", None, 0)),
    ],
)
def test_a_reading_becomes_the_plate_that_it_most_likely_is(read, countries, fitted):
    assert fit_country(read, countries) == fitted


@given(plates())
def test_a_plate_of_a_format_fits_it_without_correction(plate):
    country, text = plate
    assert fit_country(text, [country]) == (text, country, 0)


@given(plates(), st.data())
def test_one_confused_character_is_corrected_where_no_other_format_fits(plate, data):
    country, text = plate
    place = data.draw(st.integers(0, len(text) - 1))
    swaps = [c for c in ASCII if are_alike(c, text[place])]
    read = text[:place] + data.draw(st.sampled_from(swaps)) + text[place + 1 :] if swaps else text
    fitted = fit_country(read, [country])
    assert fitted.country == country
    assert fitted.corrections <= 1
    assert len(fitted.text) == len(text)


@given(st.text(st.sampled_from(ASCII), max_size=10), st.permutations(COUNTRIES))
def test_a_correction_is_stable_and_changes_only_similar_characters(read, countries):
    fitted = fit_country(read, countries)
    assert fit_country(fitted.text, countries).text == fitted.text
    changed = [(a, b) for a, b in zip(read, fitted.text, strict=True) if a != b]
    assert len(changed) == fitted.corrections <= 2
    assert all(are_alike(a, b) for a, b in changed)


@given(st.text(max_size=10))
def test_letters_of_any_script_are_kept_as_read(read):
    fitted = fit_country(read, COUNTRIES)
    if not set(read) <= set(ASCII):
        assert fitted == (read, None, 0)


@given(plates(["IN", "SK", "BR"]), st.sampled_from([" ", "-", " · "]))
def test_separators_and_case_mean_nothing(plate, separator):
    _, text = plate
    assert letters_and_digits(separator.join(text.lower())) == text


@given(st.text(st.sampled_from(ASCII), max_size=10))
def test_folding_is_idempotent_and_joins_what_can_hardly_be_told_apart(text):
    assert folded(folded(text)) == folded(text)
    assert folded(text.replace("0", "O")) == folded(text)
    assert folded(text.replace("B", "8")) == folded(text)


def test_folding_keeps_other_letters_apart():
    assert len({folded(letter) for letter in string.ascii_uppercase}) == 26


def test_an_unknown_country_is_an_error():
    with pytest.raises(KeyError):
        fit_country("AB123", ["XX"])
