from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passerby.report.markup import Markup, details, element, figure, items, joined, paragraph, table, with_code


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"])), st.text(alphabet="<>&\"' ab;#"))
def test_text_stays_text(reader: Callable[[str], Any], text: str, value: str):
    made = element("p", text, attributes={"title": value})
    read = reader(made)
    assert read.names == ["p"] and "".join(read.texts) == text and read.attributes == [{"title": value}]


def test_markup_is_not_escaped_twice():
    assert element("p", Markup("<b>1</b>"), "<") == "<p><b>1</b>&lt;</p>"
    assert joined(["<", Markup("<br>")]) == "&lt;<br>"
    assert element("img", attributes={"alt": '"'}) == '<img alt="&quot;">'


def test_a_table_has_headings_that_a_screen_reader_finds(reader: Callable[[str], Any]):
    read = reader(table("what", ["", "Rank-1"], [["a<b", "1"], ["c", "2"]]))
    scopes = [found.get("scope") for found in read.attributes]
    assert scopes.count("col") == 2 and scopes.count("row") == 2 and "a<b" in read.texts
    assert read.attributes[0] == {"class": "wide", "role": "region", "aria-label": "what", "tabindex": "0"}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (items(["a", "&"]), "<ul><li>a</li><li>&amp;</li></ul>"),
        (paragraph("x", kind="note"), '<p class="note">x</p>'),
        (with_code("Try `a <b>`."), "Try <code>a &lt;b&gt;</code>."),
        (details("more", "x"), "<details><summary>more</summary>x</details>"),
        (figure("data:,", "alt", "below"), '<figure><img src="data:," alt="alt"><figcaption>below</figcaption></figure>'),
    ],
)
def test_pieces(made: str, expected: str):
    assert made == expected and isinstance(made, Markup)
