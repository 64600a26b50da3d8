"""What a scenario says of the stores' stock."""

from __future__ import annotations

import pytest

from simulator.scenario import ScenarioError, load_scenario

HEAD = "name: s\nduration_s: 10\ndiners: {arrivals: {rate_per_s: 1}}\n"


def test_an_ingredient_that_no_menu_of_the_stores_has_is_one_sentence() -> None:
    assert load_scenario(HEAD + "stock: {fish: 3}\n").stock == {"fish": 3}
    with pytest.raises(
        ScenarioError, match=r"line 4: stock\.fsh: is no ingredient of the menu of store s1; did you mean 'fish'"
    ):
        load_scenario(HEAD + "stock: {fsh: 3}\n")
    with pytest.raises(ScenarioError, match=r"stock\.fish"):
        load_scenario(HEAD + "stores: [{name: s1, format: tea}]\nstock: {fish: 3}\n")
    with pytest.raises(ScenarioError, match=r"stock\.fish"):
        load_scenario(HEAD + "stock: {fish: 0}\n")
