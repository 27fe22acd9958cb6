"""Experiment files: what they ask for, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turncoat import Recipe, Threat, TurncoatError
from turncoat.fields import descriptions
from turncoat.sweep import experiment
from turncoat.sweep.cells import KEYS, PARTS, Cell, config, from_config, key, normalised, random_twin
from turncoat.sweep.experiment import cells, read
from turncoat.sweep.problem import Problem


def cell(seed: int = 0, fingerprint: str = "", **parts: Any) -> Cell:
    usual = {name: part() for name, part in PARTS.items()}
    return Cell(**(usual | parts), seed=seed, fingerprint=fingerprint)


def file(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text)
    return path


def test_keys_are_the_described_fields_of_all_parts() -> None:
    wanted = [*descriptions(Problem), *descriptions(Recipe), *descriptions(Threat)]
    assert set(wanted) <= set(KEYS)
    assert len(KEYS) == sum(len(descriptions(part)) for part in PARTS.values()), "two parts share a name"


def test_lists_are_swept_and_the_clean_run_is_added(tmp_path: Path) -> None:
    text = 'write_access = [0.1, 0.5]\nlocal_budget = [0.2, 1.0]\nselection = "optimal"\nseeds = [3, 7]\n'
    found = cells(read(file(tmp_path, text)))
    assert {c.seed for c in found} == {3, 7}
    assert {c.threat for c in found} == {
        Threat(),
        *(Threat(k, b) for k in (0.1, 0.5) for b in (0.2, 1.0)),
    }
    assert len(found) == len(set(found)) == 10


def test_settings_are_swept_too(tmp_path: Path) -> None:
    text = 'scale = ["raw", "unit"]\nlearning_rate = [0.1, 1]\nwrite_access = 0.5\nseeds = 1\n'
    found = cells(read(file(tmp_path, text)))
    settings = {(c.problem.scale, c.recipe.learning_rate) for c in found}
    assert settings == {("raw", 0.1), ("raw", 1.0), ("unit", 0.1), ("unit", 1.0)}
    assert sum(c.threat.is_clean for c in found) == 4


def test_random_stands_beside_unless_selections_are_named(tmp_path: Path) -> None:
    found = cells(read(file(tmp_path, "write_access = 0.5\nseeds = 1\n")))
    assert {c.threat.selection for c in found} == {"optimal", "random"}


def test_random_is_one_cell_for_both_goals(tmp_path: Path) -> None:
    text = 'write_access = 0.5\ngoal = ["untargeted", "targeted"]\nselection = ["optimal", "random"]\nseeds = 1\n'
    found = cells(read(file(tmp_path, text)))
    assert len(found) == 4  # clean, two goals, random
    twins = {random_twin(c) for c in found if c.threat.selection == "optimal" and not c.threat.is_clean}
    assert len(twins) == 1 and twins <= set(found)


def test_cells_of_two_files_that_are_alike_have_one_key(tmp_path: Path) -> None:
    one = cells(read(file(tmp_path, "write_access = [0.5, 1]\nseeds = 2\nheld_out = 0.1\n")))
    two = cells(read(file(tmp_path, 'seeds = [1]\ngoal = "untargeted"\nwrite_access = 1.0\n')))
    assert {key(c) for c in two} < {key(c) for c in one}


def test_the_key_depends_on_every_field() -> None:
    threat = Threat(0.5, 0.5)
    found = [
        cell(threat=threat),
        cell(threat=threat, problem=Problem(scale="raw")),
        cell(threat=threat, recipe=Recipe(epochs=199)),
        cell(threat=threat, recipe=Recipe(batch_size=63)),
        cell(threat=Threat(0.5, 0.5, goal="targeted")),
        cell(threat=threat, seed=1),
        cell(threat=threat, fingerprint="ab"),
    ]
    assert len({key(one) for one in found}) == len(found)


def test_a_config_gives_its_cell_back() -> None:
    flat = config(cell(threat=Threat(0.5, goal="targeted"), seed=3))
    assert list(flat)[:5] == ["dataset", "scale", "label", "test_share", "model"]
    assert from_config(json.loads(json.dumps(flat))) == cell(threat=Threat(0.5, goal="targeted"), seed=3)


def test_fields_that_do_nothing_are_at_their_defaults() -> None:
    clean = Threat(0.0, 0.3, goal="targeted")
    assert normalised(cell(threat=clean)).threat == Threat()
    once = Threat(0.5, schedule="once", placement="fixed", knowledge="local")
    assert normalised(cell(threat=once)).threat == Threat(0.5, schedule="once")
    adam = cell(recipe=Recipe(optimizer="adam"), threat=Threat(0.5, aware=True))
    assert normalised(adam) == adam


def test_a_file_of_ones_own_goes_by_its_contents(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 3)), np.arange(40) % 2
    for folder, features in (("a", x), ("b", x), ("c", x + 1)):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "own.npz", x=features, y=y)
    keys = []
    for folder in "abc":
        asked = experiment.experiment(
            {"dataset": str(tmp_path / folder / "own.npz"), "write_access": 0.5, "scale": "raw", "seeds": 1}
        )
        keys.append({key(cell) for cell in cells(asked)})
    assert keys[0] == keys[1]
    assert not keys[0] & keys[2]


@pytest.mark.parametrize("rule", ["planned", "optimal"])
def test_the_demo_shows_random_beside_plans_and_optima(rule: str) -> None:
    found = cells(experiment.demo())
    attacked = [c for c in found if c.threat.selection == rule and not c.threat.is_clean]
    assert len({c.seed for c in found}) == 3
    assert len({c.threat.write_access for c in attacked}) >= 4
    assert len({c.threat.local_budget for c in attacked}) >= 3
    assert {random_twin(c) for c in attacked} <= set(found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wirte_access = 0.3", "grid.toml: unknown key 'wirte_access'; did you mean 'write_access'?"),
        ("write_access = 1.5", "grid.toml: write_access is 1.5"),
        ("write_access = '0.3'", "grid.toml: write_access is '0.3'"),
        ("write_access = nan", "grid.toml: write_access is nan"),
        ("write_access = true", "grid.toml: write_access is True"),
        ("write_access = []", "grid.toml: write_access is an empty list"),
        ("write_access = [[0.1]]", "grid.toml: write_access holds [0.1]"),
        ("[threat]\nwrite_access = 0.3", "grid.toml: [threat] is a table, but keys are flat"),
        ("epochs = 2.5", "grid.toml: epochs is 2.5"),
        ("seeds = []", "grid.toml: seeds is an empty list"),
        ("seeds = [1, -1]", "grid.toml: a seed is -1"),
        ("seeds = 0", "grid.toml: seeds (a count or a list) is 0"),
        ("device = ['cpu', 'cuda']", "grid.toml: device is ['cpu', 'cuda']"),
        ("dataset = 5", "grid.toml: dataset is 5"),
        ("dataset = 'mnits'", "grid.toml: unknown data set 'mnits'; did you mean 'mnist'?"),
        ("model = 'logistics'", "grid.toml: unknown model 'logistics'; did you mean 'logistic'?"),
        ("scale = 'units'", "grid.toml: unknown scale 'units'; did you mean 'unit'?"),
        ("goal = 'targetd'", "grid.toml: unknown goal 'targetd'; did you mean 'targeted'?"),
        ("selection = 'optimum'", "grid.toml: unknown selection 'optimum'; did you mean 'optimal'?"),
        ("optimizer = 'adam'\nmomentum = 0.9", "grid.toml: momentum is 0.9, but optimizer 'adam' has none"),
        ("local_budget = 0.5", "grid.toml: local_budget 0.5 would do nothing: write_access is 0"),
        ("write_access = 0.5\nheld_out = 0.2", "grid.toml: held_out 0.2 would do nothing: patience is 0"),
        ("write_access = 0.5\naware = true", "grid.toml: aware True would do nothing: optimizer 'sgd'"),
        (
            "write_access = 0.5\ngoal = ['untargeted', 'targeted']\nselection = 'cyclic'",
            "grid.toml: goal 'targeted' would do nothing: selection 'cyclic' looks at nothing",
        ),
        (
            "write_access = 0.5\nschedule = 'once'\nplacement = 'fixed'",
            "grid.toml: placement 'fixed' would do nothing: with schedule 'once'",
        ),
        ("x = [", "grid.toml: not TOML"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TurncoatError) as caught:
        cells(read(file(tmp_path, text + "\n")))
    message = str(caught.value).replace(str(tmp_path) + "/", "")
    assert message.startswith(told)
    assert "\n" not in message


def test_a_file_that_is_absent_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match="No such file"):
        read(tmp_path / "absent.toml")
    (tmp_path / "image.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TurncoatError, match="not TOML"):
        read(tmp_path / "image.toml")


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_can_be_read(path: Path) -> None:
    found = cells(read(path))
    assert len(found) == len({key(one) for one in found}) > 10
    assert any(one.threat.is_clean for one in found)
    assert any(one.threat.selection == "random" for one in found)
