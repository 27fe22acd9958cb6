"""The committed experiment files: one per artefact of the papers, sharing cells."""

import dataclasses
import functools
from importlib import resources

import pytest

from turncoat import TurncoatError
from turncoat.precision import PRECISIONS
from turncoat.reproduce import duration, plan
from turncoat.reproduce.artefacts import ARTEFACTS, FOLDER, OURS, chosen
from turncoat.reproduce.plan import Wanted, planned
from turncoat.sweep import experiment
from turncoat.sweep.cells import Cell, key

ONE = Wanted(scales=("unit",), seeds=1)
PAPERS = {
    *(f"A:fig{n}" for n in (6, 7, 8, 9, *range(10, 26))),
    *(f"B:fig{n}" for n in (5, 6, 7, 8, 9, 10, *range(12, 20), *range(20, 28))),
    "B:table3",
    "B:table4",
}


@functools.cache
def cells(name: str) -> list[Cell]:
    return plan.cells(planned(ARTEFACTS[name], ONE))


def keys(name: str) -> set[str]:
    return {key(cell) for cell in cells(name)}


def test_every_figure_and_table_of_the_papers_is_there() -> None:
    assert {name for name, artefact in ARTEFACTS.items() if artefact.paper != OURS} == PAPERS


def test_every_artefact_has_its_file_and_every_file_its_artefact() -> None:
    files = {file.name for file in resources.files("turncoat.reproduce").joinpath(FOLDER).iterdir()}
    assert files == {artefact.file for artefact in ARTEFACTS.values()}


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_a_file_asks_for_the_papers_recipe_the_printed_rule_and_random_flips(name: str) -> None:
    whole = planned(ARTEFACTS[name], Wanted(seeds=1))
    scales = [one.axes["scale"][0] for one in whole]
    assert scales == {"B:table3": ["unit", "standard"], "B:table4": ["raw"]}.get(
        name, ["raw", "unit", "standard"]
    )
    found = experiment.cells(whole[0])
    recipes = {cell.recipe for cell in found}
    assert {(r.epochs, r.batch_size, r.learning_rate) for r in recipes} == {(200, 64, 0.001)}
    assert {"as_printed", "random"} <= {cell.threat.selection for cell in found if not cell.threat.is_clean}
    assert any(cell.threat.is_clean for cell in found)


@pytest.mark.parametrize("name", sorted(set(ARTEFACTS) - PAPERS))
def test_our_own_files_ask_for_one_setting_with_a_clean_run(name: str) -> None:
    (asked,) = planned(ARTEFACTS[name], Wanted(seeds=1))
    found = experiment.cells(asked)
    assert len({(cell.problem, cell.recipe) for cell in found}) == 1
    assert sum(cell.threat.is_clean for cell in found) == 1
    assert "optimal" in {cell.threat.selection for cell in found}
    for cut in (Wanted(seeds=1, epochs=2), Wanted(quick=True)):  # strikes longer than the training fall away
        assert all(
            cell.threat.last_rounds < cell.recipe.epochs for cell in plan.cells(planned(ARTEFACTS[name], cut))
        )


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("A:fig6", "A:fig8"),
        ("A:fig7", "A:fig8"),
        ("B:fig7", "A:fig8"),
        ("B:fig8", "A:fig6"),
        ("A:fig9", "B:fig6"),
        ("B:fig10", "B:fig9"),
        ("B:fig21", "A:fig11"),
        ("B:fig27", "A:fig17"),
    ],
)
def test_what_one_artefact_trains_no_other_trains_again(part: str, whole: str) -> None:
    assert keys(part) <= keys(whole)


@pytest.mark.parametrize("name", [name for name, a in ARTEFACTS.items() if a.figure == "epochs"])
def test_pairs_of_an_epochs_figure_share_its_budget(name: str) -> None:
    (budget,) = ARTEFACTS[name].choices["budgets"]
    threats = {cell.threat for cell in cells(name) if not cell.threat.is_clean}
    assert {round(threat.global_budget, 6) for threat in threats} == {budget}
    assert len({threat.write_access for threat in threats}) == 5
    goal = "targeted" if name in {f"A:fig{n}" for n in range(18, 26)} else "untargeted"
    assert {t.goal for t in threats if t.selection != "random"} == {goal}


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_quick_is_much_less(name: str) -> None:
    (full, *_), (quick, *_) = (planned(ARTEFACTS[name], Wanted(quick=q)) for q in (False, True))
    steps = [sum(c.recipe.epochs for c in experiment.cells(one)) for one in (full, quick)]
    assert steps[1] < steps[0] / 30
    assert plan.cut(ARTEFACTS[name], quick)
    assert not plan.cut(ARTEFACTS[name], full)


def test_what_the_user_asks_for_takes_the_place_of_the_file() -> None:
    (asked,) = planned(ARTEFACTS["B:fig9"], Wanted(("raw",), [3, 5], 7, device="cuda"))
    found = experiment.cells(asked)
    assert {cell.seed for cell in found} == {3, 5}
    assert {cell.recipe.epochs for cell in found} == {7}
    assert {cell.problem.scale for cell in found} == {"raw"}
    assert asked.device == "cuda"
    assert plan.cut(ARTEFACTS["B:fig9"], asked) == "7 of 200 epochs; 2 of 6 seeds"


def test_another_precision_is_other_cells_of_every_artefact_that_can_be_made_in_it() -> None:
    low = Wanted(("unit",), 1, precision="bfloat16")
    left = {name for name in ARTEFACTS if plan.misfit(ARTEFACTS[name], "bfloat16")}
    assert left == {"B:table3", "B:table4"}
    assert not any(planned(ARTEFACTS[name], low) for name in left)
    for name in ARTEFACTS.keys() - left:
        found, whole = plan.cells(planned(ARTEFACTS[name], low)), cells(name)
        assert {dataclasses.replace(c.recipe, precision="float32") for c in found} == {
            c.recipe for c in whole
        }
        assert len(found) == len(whole) and not {key(c) for c in found} & {key(c) for c in whole}
    named = Wanted(("unit",), 1, precision="float32")
    assert {key(c) for c in plan.cells(planned(ARTEFACTS["B:fig9"], named))} == keys("B:fig9")


def test_runs_of_one_precision_are_not_taken_for_those_of_another() -> None:
    artefact, short = ARTEFACTS["B:fig9"], Wanted(("unit",), 1, 50)
    known = plan.Known({key(c) for c in plan.cells(planned(artefact, short))}, {50})
    for precision, epochs in (("float32", 50), ("bfloat16", 200)):
        (one,) = plan.as_measured(artefact, Wanted(("unit",), 1, precision=precision), known)
        assert one.axes["epochs"] == (epochs,)


def test_no_artefact_takes_no_time() -> None:
    assert all(
        duration.seconds(plan.cells(planned(a, Wanted(quick=True))), 1.0) > 0 for a in ARTEFACTS.values()
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (0.2, "< 1 s"), (31.4, "31 s"), (90.0, "1.5 min")]
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    assert duration.spoken(seconds) == words


def test_time_in_bfloat16_is_less() -> None:
    both = [plan.cells(planned(ARTEFACTS["B:fig9"], Wanted(("unit",), 1, precision=p))) for p in PRECISIONS]
    assert duration.seconds(both[0], 1.0) > 1.2 * duration.seconds(both[1], 1.0)


def test_experiments_of_equal_seeds_train_as_one() -> None:
    parts = [one for n in ("B:fig8", "A:fig9", "B:fig9") for one in planned(ARTEFACTS[n], Wanted(("raw",)))]
    merged = plan.merged(parts)
    assert [len(one.seeds) for one in merged] == [30, 6]
    assert {key(c) for c in plan.cells(merged)} == {key(c) for c in plan.cells(parts)}


def test_names_stand_for_one_paper_or_all() -> None:
    assert {a.name for a in chosen(["A"])} == {name for name in PAPERS if name.startswith("A")}
    assert {a.name for a in chosen(["all", "B:fig5"])} == set(ARTEFACTS)
    assert {a.name for a in chosen(["C"])} == set(ARTEFACTS) - PAPERS


@pytest.mark.parametrize(
    ("names", "says"),
    [(["B:fgi8"], "did you mean 'B:fig8'?"), ([], "which artefacts?"), (["D"], "artefact 'D'")],
)
def test_unknown_names_are_refused(names: list[str], says: str) -> None:
    with pytest.raises(TurncoatError) as told:
        chosen(names)
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("held", "attacked", "found"),
    [((50, 20), True, 50), ((20,), True, 20), ((50, 200), True, 200), ((50,), False, 200), ((), True, 200)],
)
def test_short_trainings_are_found_and_said(held: tuple[int, ...], attacked: bool, found: int) -> None:
    artefact = ARTEFACTS["B:fig9"]
    runs = {
        key(cell)
        for epochs in held
        for cell in plan.cells(planned(artefact, Wanted(("unit",), 1, epochs)))
        if (cell.threat.write_access > 0) == attacked
    }
    known = plan.Known(runs, set(held))
    (one,) = plan.as_measured(artefact, ONE, known)
    assert one.axes["epochs"] == (found,) and all(
        axes["epochs"] == (found,) for axes in one.also if "epochs" in axes
    )
    assert plan.shortened(artefact, one) == ("" if found == 200 else f"{found} of 200 epochs")
    (asked,) = plan.as_measured(artefact, Wanted(("unit",), 1, 7), known)
    assert asked.axes["epochs"] == (7,)
