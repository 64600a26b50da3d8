"""`rushproof drill --profile`: another network on a link, and what is wrong told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli import main
from chaos.cli.profiles import profile_changes
from simulator.network import BUILT_IN_PROFILES
from simulator.scenario import find_scenario, load_scenario, with_changes


def test_a_profile_takes_the_place_of_a_links_whole_state(tmp_path: Path) -> None:
    recording = tmp_path / "lte.down"
    scenario = with_changes(
        load_scenario(find_scenario("calm")), {"links": {"edge_cloud": {"profile": None, "loss_percent": 3}}}
    )
    changed = with_changes(
        scenario, profile_changes(["edge_cloud=gprs", f"diner_edge=cellular_lte:{recording}", "edge_kds=store_lan"])
    )
    profiles = {link: changed.link_profile(state) for link, state in changed.links.items()}
    assert profiles["edge_cloud"] is BUILT_IN_PROFILES["gprs"]
    assert profiles["diner_edge"].trace_to == str(recording)
    assert profiles["edge_kds"] is BUILT_IN_PROFILES["store_lan"]


def test_the_profiles_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--profile", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in BUILT_IN_PROFILES)
    assert "as recorded" in listed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("edge_cloud", "--profile must be LINK=NAME"),
        ("edge_clod=dsl", "'edge_clod' is not known (did you mean 'edge_cloud'?)"),
        ("edge_cloud=dls", "'dls' is not known (did you mean 'dsl'?)"),
        ("edge_cloud=cellular_lte", "replays a recording"),
        ("edge_cloud=cellular_lte:/no/file", "links.edge_cloud: /no/file cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_sentence(capsys: pytest.CaptureFixture[str], given: str, says: str) -> None:
    assert main(["drill", "calm", "--profile", given]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rushproof: ")
    assert said.count("\n") == 1
    assert says in said
