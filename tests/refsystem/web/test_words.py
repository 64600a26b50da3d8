"""Words, languages, and what no page may hold."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest

from refsystem import problems
from refsystem.edge import page_routes
from refsystem.ordering import channel_rules, errors, kitchen_errors
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import CHANNELS
from refsystem.web.languages import LANGUAGES, choose_language, words
from refsystem.web.pages import FOLDER, PAGES, STATIC, Pages, money

SOURCES = [*STATIC.glob("*.js"), *(FOLDER / "templates").glob("*.html"), FOLDER / "kitchen_display.html"]
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def test_every_language_says_the_same() -> None:
    first = words("en")
    for language in LANGUAGES:
        said = words(language)
        assert said.keys() == first.keys()
        for key, text in said.items():
            assert text.strip(), f"{key} is empty in {language}"
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(first[key])), key


def test_every_word_that_a_page_asks_for_is_there() -> None:
    asked = re.compile(r"""say\(["'](\w+)["']|\{\{ t\.(\w+)|t\.(\w+)\.replace""")
    wanted = {name for path in SOURCES for found in asked.findall(path.read_text()) for name in found if name}
    wanted |= {f"title_{page}" for page in PAGES} | {f"offline_{page}" for page in PAGES}
    assert len(wanted) > 100
    assert wanted - words("en").keys() == set()


def test_every_channel_has_a_name_in_every_language() -> None:
    for language in LANGUAGES:
        assert {name for name in words(language) if name.startswith("channel_")} >= {
            f"channel_{each}" for each in CHANNELS
        }
    named = re.findall(r"channels: \{(.*?)\}", (STATIC / "kitchen.js").read_text())
    assert [set(re.findall(r"(\w+):", each)) for each in named] == [set(CHANNELS)] * len(LANGUAGES)


def test_every_reason_of_a_pause_has_words() -> None:
    reasons = [each for each in get_args(channel_rules.Reason) if each]
    assert {f"{start}_{each}" for start in ("pause", "own_pause") for each in reasons} <= words("zh").keys()


NO_PAGE_MEETS = {
    *("break-glass-invalid", "break-glass-not-needed", "break-glass-running", "members-differ", "member-heard"),
    *("register-not-read", "store-unknown", "rights-too-low", "rights-not-frozen"),
}
"""Problems of operators' commands and of what store and cloud do by themselves."""


def test_every_problem_that_a_page_can_meet_has_words() -> None:
    modules = (errors, kitchen_errors, problems, channel_rules, page_routes)
    slugs = {each.slug for module in modules for each in vars(module).values() if isinstance(each, errors.Problem)}
    assert len(slugs) > 50
    assert slugs - NO_PAGE_MEETS - {name.removeprefix("problem_") for name in words("zh")} == set()
    assert slugs >= NO_PAGE_MEETS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_page_makes_markup_of_text_or_loads_from_elsewhere(path) -> None:
    text = path.read_text()
    assert not re.search(
        r"innerHTML\s*=[^=]|outerHTML\s*=[^=]|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert not re.search(r"""(src|href)=["']?(https?:)?//|from ["']https?:|@import|url\(["']?http""", text)
    if path.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
        assert all("src=" in tag or 'type="application/json"' in tag for tag in re.findall(r"<script[^>]*>", text))


def test_names_of_a_menu_are_text_in_a_page() -> None:
    nasty = "</script><b onclick=alert(1)>\"'&"
    dishes = (replace(DEMO_MENU.items[0], name=nasty, name_zh=nasty), *DEMO_MENU.items[1:])
    made = Pages("s1", replace(DEMO_MENU, items=dishes), "", ("1",)).render("order", "en")
    assert nasty not in made
    assert "<b onclick" not in made
    assert made.count("</script>") == 2, "the module's and the data's"


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        ("zh", "en", "en", "zh"),
        ("xx", "zh", "en", "zh"),
        (None, None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, None, "fr;q=1, en;q=0.2, zh;q=0.3", "zh"),
        (None, None, "zh;q=0, en", "en"),
        (None, None, "zh;q=much, fr", "en"),
        (None, None, None, "en"),
    ],
)
def test_the_address_comes_before_the_cookie_and_the_cookie_before_the_browser(asked, kept, accepted, language) -> None:
    assert choose_language(asked, kept, accepted) == language


def test_money_is_shown_with_its_currency() -> None:
    assert money(1205, "CNY") == "¥12.05"
    assert money(5, "CHF") == "CHF 0.05"
