"""`rushproof simulate`, `sweep` and `plan`, on the reference engine, so that nothing has to be compiled."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from chaos.cli import main
from chaos.cli.modelling import shorter_times
from simulator.batches.tables import read_diners, read_figures
from simulator.scenario import load_scenario, with_changes

EVENING = """\
name: evening
duration_s: 20
stores: [{name: s1, tables: 12, kitchen_seconds: 1}]
diners: {arrivals: {rate_per_s: 5}, channels: {qr: 0.8, cashier: 0.0, mini_program: 0.2}, think_s: 1, polls_max: 1, poll_s: 2}
faults: [{name: a wrong clock, fault: clock_offset, process: primary, at_s: 5, for_s: 3, offset_s: 9}]
model: {seating: {dining_s: 4, patience_s: 5}}
"""


@pytest.fixture
def evening(tmp_path: Path) -> str:
    path = tmp_path / "evening.yaml"
    path.write_text(EVENING, encoding="utf-8")
    return str(path)


def test_simulate_tells_figures_with_intervals_what_is_not_modelled_and_draws(
    evening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "simulate",
        evening,
        "--engine",
        "simpy",
        "--replications",
        "4",
        "--json",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["replications"] == 4
    assert found["not_modelled"] == ["a wrong clock"]
    wait = found["figures"]["table_wait"]
    assert wait["low"] < wait["mean"] < wait["high"]
    assert "not modelled: a wrong clock" in said.err
    assert (tmp_path / "out" / "simulate-evening.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments[:-2], "--seed", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["diners"] != found["figures"]["diners"]


def test_simulate_goes_on_until_the_figures_that_are_named_are_known_and_tells_these(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evening.yaml"
    content = EVENING.replace("duration_s: 20", "duration_s: 9").replace("model: {", "model: {visit: table_only, ")
    path.write_text(content, encoding="utf-8")
    arguments = ["simulate", str(path), "--engine", "simpy", "--workers", "1", "--figures", "diners,platform_late"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "table_wait" not in told
    assert int(told.partition(" replications")[0].split()[-1]) > 10, "ten evenings of 45 parties are too few for 5 %"
    assert "nobody had platform_late, so nothing is known of it" in told
    assert re.search(r"^platform_late +- +- ", told, re.MULTILINE)


def test_sweep_writes_a_table_and_plan_says_the_least(
    evening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "sweep.csv"
    common = [evening, "--engine", "simpy", "--replications", "6", "--workers", "1"]
    assert main(["sweep", *common, "--over", "stores.tables=8,24", "--figures", "reneged", "--csv", str(table)]) == 0
    with table.open(encoding="utf-8") as file:
        designs = list(csv.DictReader(file))
    assert float(designs[0]["reneged"]) > float(designs[1]["reneged"])
    capsys.readouterr()
    find = ["plan", *common, "--find", "stores.tables", "--from", "10", "--to", "40", "--json"]
    assert main([*find, "--keep", "reneged<=0.05"]) == 0
    value = json.loads(capsys.readouterr().out)["value"]
    assert 10 < value < 40
    assert main([*find, "--keep", "reneged<=-1"]) == 1
    assert json.loads(capsys.readouterr().out)["value"] is None


def test_the_commands_say_what_a_second_is_where_people_are_faster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evening.yaml"
    path.write_text(EVENING.replace("model: {", "time_scale: 90\nmodel: {visit: table_only, "), encoding="utf-8")
    common = [str(path), "--engine", "simpy", "--replications", "2", "--workers", "1", "--json"]
    find = ["--find", "stores.tables", "--from", "8", "--to", "8", "--keep", "diners>=1"]
    for command in (["simulate", *common], ["sweep", *common, "--over", "stores.tables=8"], ["plan", *common, *find]):
        assert main(command) == 0
        said = capsys.readouterr()
        assert "people's and the kitchen's times are 90 times shorter here: 1 s is 1.5 min" in said.err
        assert json.loads(said.out)["time_scale"] == 90
    assert main(["sweep", *common, "--over", "time_scale=1,60"]) == 0
    assert "times are divided by time_scale here, each design's by its own" in capsys.readouterr().err
    scenario = load_scenario(EVENING)
    assert shorter_times([scenario, scenario]) == []
    hours = shorter_times([with_changes(scenario, {"time_scale": 7_200})])
    assert hours == ["people's and the kitchen's times are 7200 times shorter here: 1 s is 2 h"]


def test_an_automatic_sweep_draws_each_design_until_its_figures_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, table = tmp_path / "evening.yaml", tmp_path / "new" / "folder" / "sweep.csv"
    path.write_text(EVENING.replace("model: {", "model: {visit: table_only, "), encoding="utf-8")
    ask = [
        "sweep",
        str(path),
        "--engine",
        "simpy",
        "--workers",
        "1",
        "--replications",
        "auto",
        "--csv",
        str(table),
        "--json",
    ]
    assert main([*ask, "--over", "diners.arrivals.rate_per_s=3,40", "--figures", "diners,platform_late"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    few, many = (design["replications"] for design in found["designs"])
    (beside,) = found["differences"]
    assert beside["diners.arrivals.rate_per_s"] == 40
    assert beside["replications"] == many
    assert 9 * 37 / 2 < beside["diners_low"] < beside["diners"] < beside["diners_high"]
    assert "less those of rate_per_s 3, over replications of the same draws:" in said.err
    assert found["replications"] == "auto"
    assert few > many == 10, "the number of few people is known worse"
    assert f"{few + many} replications\n" in said.err
    lacking = "diners.arrivals.rate_per_s=40: nobody had platform_late, so nothing is known of it"
    assert lacking in found["not_known"]
    assert lacking in said.err
    with table.open(encoding="utf-8") as file:
        assert [row["replications"] for row in csv.DictReader(file)] == [str(few), "10"]


@pytest.mark.parametrize("command", ["simulate", "sweep", "plan", "headroom"])
def test_where_nothing_can_be_written_is_said_before_anything_is_run(
    command: str, evening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
    out = tmp_path / "out"
    taken = out / f"{command}-evening.parquet"
    taken.mkdir(parents=True)
    asked = {
        "simulate": ["simulate", evening],
        "sweep": ["sweep", evening, "--over", "stores.tables=8"],
        "plan": ["plan", evening, "--find", "stores.tables", "--from", "8", "--to", "8", "--keep", "diners>=0"],
        "headroom": ["plan", evening, "--headroom", "--to", "1"],
    }[command]
    assert main([*asked, "--engine", "simpy", "--replications", "2", "--workers", "1", "--out", str(out)]) == 2
    assert f"{taken}: cannot be written (it is a folder)" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [taken.name]


def test_one_replication_is_not_called_replications(evening: str, capsys: pytest.CaptureFixture[str]) -> None:
    common = [evening, "--engine", "simpy", "--workers", "1", "--replications", "1"]
    assert main(["sweep", *common, "--over", "stores.tables=8"]) == 0
    assert "\n1 replication\n" in capsys.readouterr().out


def test_a_sweep_and_a_plan_name_what_has_no_effect_and_what_is_not_modelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "open.yaml"
    path.write_text(EVENING.replace("model:", "#"), encoding="utf-8")
    common = [str(path), "--engine", "simpy", "--replications", "2", "--workers", "1"]
    idle = "stores.tables has no effect in this scenario: each value gives the same events (model.seating is missing)"
    over = ["--over", "stores.tables=2,9", "--over", "diners.arrivals.rate_per_s=2,4"]
    assert main(["sweep", *common, *over]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "effect" in line or "not modelled" in line] == [
        idle,
        "not modelled: a wrong clock",
    ]
    find = ["plan", *common, "--find", "stores.tables", "--from", "1", "--to", "3", "--keep", "requests>=0"]
    assert main([*find, "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["without_effect"], found["not_modelled"]) == ([idle], ["a wrong clock"])
    assert idle in said.err


def test_a_sweep_and_a_plan_keep_what_they_find_and_take_what_the_other_found(
    evening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
    out = tmp_path / "out"
    common = [evening, "--engine", "simpy", "--replications", "3", "--workers", "1", "--out", str(out)]
    assert main(["sweep", *common, "--over", "stores.tables=8,24", "--rows"]) == 0
    told = capsys.readouterr().out
    assert "6 replications\n" in told
    assert told.endswith(f"{out / 'sweep-evening.parquet'}\n{out / 'sweep-evening.png'}\n")
    assert (out / "sweep-evening.png").read_bytes().startswith(b"\x89PNG")
    figures, diners = read_figures(out / "sweep-evening.parquet"), read_diners(out / "sweep-evening.parquet", [1])
    assert figures["stores.tables"].tolist() == [8] * 3 + [24] * 3
    assert figures["replication"].tolist() == [0, 1, 2] * 2
    assert diners.groupby("replication").size().tolist() == figures["diners"].tolist()[3:]
    find = ["plan", *common, "--find", "stores.tables", "--from", "8", "--to", "24", "--step", "16"]
    assert main([*find, "--keep", "reneged<=0.9"]) == 0
    assert "6 replications, 6 of them kept from before" in capsys.readouterr().out
    assert read_figures(out / "plan-evening.parquet").equals(figures)
    assert (out / "plan-evening.png").read_bytes().startswith(b"\x89PNG")


def test_headroom_is_told_in_times_of_todays_load_with_what_gave_way(
    evening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
    ask = ["plan", evening, "--headroom", "--engine", "simpy", "--replications", "3", "--workers", "1", "--step", "0.5"]
    ask += ["--least-told", "0.9", "--most-reneged", "0.6"]
    out = tmp_path / "out"
    assert main([*ask, "--to", "4", "--keep", "reneged<=0.75", "--json", "--out", str(out)]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert 1 <= found["holds"] < found["collapses"] == found["holds"] + 0.5
    assert (
        f"headroom: {found['holds']:g} times today's load holds, {found['collapses']:g} times does not: reneged<=0.75"
        in said.err
    )
    assert sorted(set(read_figures(out / "headroom-evening.parquet")["load"])) == [
        load["load"] for load in found["loads"]
    ]
    assert (out / "headroom-evening.png").read_bytes().startswith(b"\x89PNG")
    assert (found["today_holds"], found["limits"]) == (
        True,
        ["told_yes>=0.9", "gave_up<=0.1", "reneged<=0.75"],
    )
    assert main([*ask[:-2], "--to", "1"]) == 1
    told = capsys.readouterr().out
    assert "\ntoday's load does not hold already: " in told
    assert "reneged<=0.05" in told
    assert "\nno headroom: " in told


def _export(path: Path) -> str:
    """A store's export: an order every two minutes for three hours."""
    lines = [f"{number},2018-04-28T{12 + number // 30}:{number % 30 * 2:02},Naan,1,2.50" for number in range(90)]
    path.write_text("\n".join(["order,ordered_at,item,quantity,unit_price", *lines]), encoding="utf-8")
    return str(path)


@pytest.fixture
def two_minutes(evening: str) -> str:
    """The evening in real time: its 20 s are two minutes."""
    with Path(evening).open("a", encoding="utf-8") as file:
        file.write("time_scale: 6\n")
    return evening


def _evenings(path: Path) -> str:
    """Three evenings, with 4, 6 and 5 orders within one minute."""
    made = [(day, number) for day, count in ((27, 4), (28, 6), (29, 5)) for number in range(count)]
    lines = [f"{day}-{number};2018-04-{day}T18:00;Naan;1;2,50" for day, number in made]
    path.write_text("\n".join(["order;ordered_at;item;quantity;unit_price", *lines]), encoding="utf-8")
    return str(path)


def test_all_commands_replay_evening_by_evening_on_the_scenarios_clock(
    two_minutes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [two_minutes, "--engine", "simpy", "--workers", "1", "--json", "--trace", _evenings(tmp_path / "own.csv")]
    find = [
        "--find",
        "stores.tables",
        "--from",
        "8",
        "--to",
        "8",
        "--keep",
        "reneged<=0.9",
        "--most-reneged",
        "1",
        "--replications",
        "3",
    ]
    headroom = ["--headroom", "--to", "2", "--step", "1", "--replications", "3", "--starts-at", "18:00"]
    headroom += ["--least-told", "0.5", "--most-reneged", "1"]
    sweep = ["--over", "stores.tables=8,24", "--figures", "diners", "--replications", "3"]
    simulate = ["--evenings", "3", "--replications", "3", "--rate-factor", "6"]
    for command, rest in (("simulate", simulate), ("sweep", sweep), ("plan", find), ("plan", headroom)):
        assert main([command, *common, *rest]) == 0
        said = capsys.readouterr()
        content = json.loads(said.out)
        assert [each["orders"] for each in content["replayed"]["evenings"]] == [6, 5, 4]
        assert "replayed: 15 of 15 orders, 2 minutes of 3 of 3 evenings, the busiest first, on one clock" in said.err
        assert "evenings (orders): 2018-04-28 18:00 (6), 2018-04-29 18:00 (5), 2018-04-27 18:00 (4)\n" in said.err
        if command == "sweep":
            assert [design["diners"] for design in content["designs"]] == [5, 5]
    wrong = {
        ("--evenings", "4"): "--evenings 4 are more than the 3 of the table",
        ("--evenings", "3", "--replications", "2"): "--evenings 3 needs as many --replications, not 2",
        ("--evenings", "2", "--rate-factor", "60"): "leave out --rate-factor 60",
        ("--starts-at", "24:00"): "--starts-at takes a time of day like 17:30, not '24:00'",
        ("--starts-at", "3:00"): "no evening of the table has an order from 03:00",
    }
    for options, sentence in wrong.items():
        assert main(["simulate", *common, *options]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["sweep", *common, "--over", "time_scale=1,2"]) == 2
    assert "time_scale is the clock of the replayed evenings, too" in capsys.readouterr().err


def test_what_was_kept_of_one_table_does_not_answer_for_another(
    two_minutes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
    table = tmp_path / "own.csv"
    _evenings(table)
    ask = [
        "simulate", two_minutes, "--engine", "simpy", "--workers", "1", "--replications", "2", "--json",
        "--out", str(tmp_path / "out"), "--trace", str(table),
    ]  # fmt: skip

    def found(*more: str) -> tuple[float, bool]:
        assert main([*ask, *more]) == 0
        said = capsys.readouterr()
        return json.loads(said.out)["figures"]["diners"]["mean"], "kept from before" in said.err

    assert found() == (5.5, False)
    assert found() == (5.5, True)
    assert found("--rate-factor", "600") == (15, False)
    table.write_text(
        table.read_text(encoding="utf-8").replace("2018-04-28T18:00", "2018-04-28T19:59", 4), encoding="utf-8"
    )
    assert found() == (4.5, False)


def test_all_three_replay_a_stores_own_orders_and_say_how_many_and_how_fast(
    evening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [
        evening, "--engine", "simpy", "--replications", "2", "--workers", "1", "--json",
        "--trace", _export(tmp_path / "orders.csv"), "--rate-factor", "360",
    ]  # fmt: skip
    find = ["--find", "stores.tables", "--from", "8", "--to", "9", "--keep", "reneged<=0.9"]
    for command in (["simulate"], ["sweep", "--over", "stores.tables=8,24", "--figures", "diners"], ["plan", *find]):
        assert main([command[0], *common, *command[1:]]) == 0
        said = capsys.readouterr()
        content = json.loads(said.out)
        assert content["replayed"]["orders"] == 60
        assert content["replayed"]["of"] == 90
        assert "replayed: 60 of 90 orders in 20 s, 360 times faster than they came\n" in said.err
        if command[0] == "sweep":
            assert [design["diners"] for design in content["designs"]] == [60, 60]
    assert main(["sweep", *common, "--over", "diners.arrivals.rate_per_s=1,2"]) == 2
    assert "has no effect with --trace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["simulate", "nonsense"], "there is no shipped scenario with this name"),
        (["simulate", "calm", "--replications", "0"], "--replications takes a number from 1"),
        (["simulate", "calm", "--copies", "2"], "go with --trace"),
        (["plan", "calm", "--to", "2"], "plan lacks --find, --from, --keep; or ask for --headroom"),
        (["plan", "calm", "--headroom", "--find", "a"], "--find does not go with --headroom"),
        (["plan", "calm", "--engine", "simpy", "--headroom", "--step", "nan"], "are no range"),
        (["sweep", "calm", "--over", "a=1", "--rate-factor", "2"], "go with --trace"),
        (["simulate", "calm", "--workers", "0"], "--workers must be from 1 to 1024, not 0"),
        (["simulate", "calm", "--rows"], "--rows goes with --out"),
        (["simulate", "calm", "--engine", "simpy", "--out", "/dev/null"], "/dev/null: cannot be written"),
        (["simulate", "calm", "--scheduler", "tcp://x:1"], "--scheduler goes with --backend dask"),
        (["sweep", "calm", "--over", "stores.tables=1", "--backend", "dask"], "--backend dask needs --scheduler"),
        (["plan", "calm", "--find", "a", "--from", "1", "--to", "2", "--keep", "late<=1", "--backend", "dask", "--workers",
          "2"], "a Dask cluster has the workers that it has"),
        (["simulate", "calm", "--trace", "/none.csv"], "/none.csv"),
        (["simulate", "calm", "--engine", "simpy", "--seed", "-3"], "seed: is -3; it must be at least 0"),
        (["sweep", "calm", "--over", "stores.tables"], "--over takes FIELD=A,B"),
        (["sweep", "calm", "--over", "a=1", "--figures", "b"], "there is no figure 'b'"),
        (["sweep", "calm", "--engine", "simpy", "--over", "diners.x=1"], "there is no field 'x' in diners"),
        (["plan", "calm", "--engine", "simpy", "--find", "stores.table", "--from", "1", "--to", "2", "--keep", "late<=1"],
         "(did you mean 'tables'?)"),
        (["sweep", "calm", "--over", "a=1", "--over", "b=2", "--over", "a=3"], "--over names a twice"),
        (["sweep", "calm", "--over", "a=[1"], "--over a: '[1' cannot be read as values"),
        (["sweep", "calm", "--over", "nosuch=1", "--csv", "/"], "/: cannot be written (it is a folder)"),
        (["sweep", "calm", "--over", "nosuch=1", "--csv", "/dev/null/x.csv"], "/dev/null: cannot be written (it is no folder)"),
        (["sweep", "calm", "--over", "a=1", "--figures", ""], "--figures names none"),
        (["sweep", "calm", "--over", "a=1", "--replications", "some"], "takes a number from 1 to 1000 or auto, not 'some'"),
        (["simulate", "/dev/null"], "/dev/null: is a device or a pipe, not a file"),
        (["simulate", "/"], "/: is a folder, not a file"),
        (["plan", "calm", "--find", "a", "--from", "1", "--to", "2", "--keep", "x"], "is no budget"),
        (["plan", "calm", "--engine", "simpy", "--find", "x", "--from", "9", "--to", "2", "--keep", "late<=1"], "is no range"),
        (["plan", "calm", "--engine", "simpy", "--find", "x", "--from", "1", "--to", "inf", "--keep", "late<=1"], "is no range"),
        (["plan", "calm", "--engine", "simpy", "--find", "x", "--from", "nan", "--to", "2", "--keep", "late<=1"], "is no range"),
        (["plan", "calm", "--engine", "simpy", "--find", "x", "--from", "1", "--to", "2", "--step", "nan", "--keep", "late<=1"],
         "is no range"),
        (["plan", "calm", "--engine", "simpy", "--find", "x", "--from", "1", "--to", "2", "--step", "1e-320", "--keep",
          "late<=1"], "are more than 1000000 values"),
        (["plan", "calm", "--find", "a", "--from", "1", "--to", "2", "--keep", "late<=1e999"], "'1e999' is not a finite number"),
        (["plan", "calm", "--find", "a", "--from", "1", "--to", "2", "--keep", "late<=1", "--least-told", "nan"],
         "--least-told takes a share"),
        (["plan", "calm", "--headroom", "--most-reneged", "1.5"], "--most-reneged takes a share from 0 to 1, not 1.5"),
        (["plan", "calm", "--engine", "simpy", "--find", "seed", "--from", "1", "--to", "2", "--keep", "late<=1"],
         "seed is no quantity"),
        (["plan", "calm", "--engine", "simpy", "--headroom", "--keep", "table_wait<=9"], "nobody needs a table in this scenario"),
        (["sweep", "calm", "--engine", "simpy", "--over", "stores.tables=5,9,5"], "stores.tables has the value 5 twice"),
        (["simulate", "calm", "--figures", ","], "--figures names none"),
        (["simulate", "calm", "--replications", "²"], "--replications takes a number from 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
