"""The rounds of several groups, which read rows and take gradients together, against each group's by itself."""

import pytest
import torch
from test_in_batch import ready

from turncoat import Recipe, Threat
from turncoat.training import rounds
from turncoat.training.rounds import decide, decide_all, groups

THREATS = (
    *(Threat(k, 0.5, selection=rule) for rule in ("optimal", "as_printed", "random") for k in (0.4, 0.9)),
    *(Threat(k, 0.3, goal="targeted") for k in (0.6, 1.0)),
    Threat(0.5, 0.5, placement="fixed"),
    Threat(0.8, 0.5, knowledge="local"),
    Threat(0.7, 0.5, knowledge="surrogate"),
    Threat(0.7, 0.5, selection="planned"),
)


@pytest.mark.parametrize("kind", ["binary", "multi"])
@pytest.mark.parametrize("model", ["logistic", "mlp:5"])
@pytest.mark.parametrize("laid_out", [0, 1 << 30], ids=["read where they lie", "laid out"])
def test_groups_decide_together_as_they_do_alone(kind, model, laid_out, request, monkeypatch):
    monkeypatch.setattr(rounds, "LAID_OUT", laid_out)
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.3)
    task, state = ready(request.getfixturevalue(kind), THREATS, recipe, model)
    turns = [(group, task.way.pool(task, group.threats, 1)) for group in groups(task, state)]
    assert len(turns) > 4
    together = list(decide_all(task, state, turns, (1,)))
    assert [group for group, _ in together] == [group for group, _ in turns]
    for (group, rows), (_, found) in zip(turns, together, strict=True):
        alone = decide(task, state, group, rows, (1,))
        assert torch.equal(found.columns, alone.columns) and torch.equal(found.members, alone.members)
        assert torch.equal(found.labels, alone.labels)
        for name, value in vars(alone.report).items():
            torch.testing.assert_close(getattr(found.report, name), value, rtol=1e-4, atol=1e-5)


def test_features_are_laid_out_for_groups_that_score_rows_in_one_order(multi, monkeypatch):
    task, state = ready(multi, THREATS, Recipe(epochs=2, batch_size=16, learning_rate=0.3))
    turns = [(group, task.way.pool(task, group.threats, 1)) for group in groups(task, state)]
    laid = [rows.own for _, rows in rounds._read_once(task, turns)]
    first = [group.threats[0] for group, _ in turns]
    wanted = [t.placement == "resampled" and t.selection not in ("random", "planned") for t in first]
    assert [own is not None for own in laid] == wanted and 2 < sum(wanted) < len(wanted)
    assert len({id(own) for own in laid if own is not None}) == 1
    monkeypatch.setattr(rounds, "LAID_OUT", multi.x.nbytes // 2)
    assert all(rows.own is None for _, rows in rounds._read_once(task, turns))
