"""What a guard lets through: against direct counts, and on flips that were planted."""

import dataclasses

import numpy as np
import pytest
import torch
import trials_anew

from clouds import blobs
from turncoat import Recipe, Threat, models, train
from turncoat.attack.round import mean_gradient
from turncoat.defences import gold, knn, trimmed
from turncoat.defences.confident import trusted
from turncoat.defences.guard import Guard
from turncoat.models.stack import dot
from turncoat.randomness import generator
from turncoat.training import choice, past_guards
from turncoat.training.guards import by_random_folds, defended, guard_of
from turncoat.training.stack import material, stack_run

WELL_APART = blobs(3, n=90, spread=0.3, seed=4)


def planted(data, count=9):
    """Labels of two replicas, with flips of the second alone."""
    wrong = torch.arange(0, len(data.y), len(data.y) // count)[:count]
    labels = data.y.unsqueeze(1).repeat(1, 2)
    labels[wrong, 1] = (labels[wrong, 1] + 1) % data.classes
    return labels, wrong


def test_trimming_leaves_out_the_largest_losses():
    logits = torch.randn(10, 4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30).view(10, 3) % 4
    weights = torch.ones(10, 3)
    weights[:2, 0] = 0
    kept = trimmed.kept(logits, labels, weights, 0.3)
    for j in range(3):
        losses = torch.nn.functional.cross_entropy(logits[:, :, j], labels[:, j], reduction="none")
        losses[weights[:, j] == 0] = -1  # they do not count, and so are not left out
        worst = set(losses.argsort(descending=True)[: int(0.3 * int(weights[:, j].sum()))].tolist())
        assert set((~kept[:, j]).nonzero().flatten().tolist()) == worst


def test_neighbours_and_their_votes_against_a_direct_count(multi):
    near = knn.neighbours(multi.x, 5)
    distance = torch.cdist(multi.x, multi.x).fill_diagonal_(torch.inf)
    assert torch.equal(near.sort(1).values, distance.topk(5, largest=False).indices.sort(1).values)
    labels = torch.randint(0, 4, (len(multi.y), 3), generator=torch.Generator().manual_seed(1))
    kept = knn.agreed(labels, near)
    for i in range(len(labels)):
        for j in range(3):
            same = sum(int(labels[k, j] == labels[i, j]) for k in near[i].tolist())
            assert bool(kept[i, j]) == (2 * same >= 5)


@pytest.mark.parametrize("text", ["knn:7", "confident"])
def test_planted_flips_are_dropped(text):
    data = WELL_APART
    model = models.build("logistic", data)
    guard = guard_of(model, Recipe(defence=text), model.prepare(data.x), data.y, 0)
    labels, wrong = planted(data)
    kept = guard.counted(labels)
    assert not kept[wrong, 1].any()
    assert kept[:, 0].float().mean() > 0.9 and kept[:, 1].float().mean() > 0.8


def test_a_class_that_lost_all_its_labels_is_no_error():
    labels = torch.zeros(90, 2, dtype=torch.int64)
    labels[:40, 0] = 2
    model = models.build("logistic", WELL_APART)
    x = model.prepare(WELL_APART.x)
    kept = trusted(labels, lambda given: by_random_folds(model, x, 0, given))
    assert kept.shape == labels.shape and kept[:, 1].all()  # one class alone: nothing to compare with


def test_out_of_fold_probabilities_do_not_know_the_row():
    data = WELL_APART
    model = models.build("logistic", data)
    x = model.prepare(data.x)
    labels = data.y.unsqueeze(1)
    changed = labels.clone()
    changed[7] = (changed[7] + 1) % 3
    before, after = (by_random_folds(model, x, 0, given)[0] for given in (labels, changed))
    torch.testing.assert_close(before[7], after[7])
    assert not torch.equal(before, after)
    torch.testing.assert_close(before.sum(1), torch.ones(90))


def test_gold_labels_are_put_right_and_weights_are_agreement():
    data = WELL_APART
    model = models.build("logistic", data)
    x = model.prepare(data.x.double())
    labels, wrong = planted(data)
    guard = Guard(gold=wrong[:4])
    repaired = guard.repaired(labels, data.y)
    assert torch.equal(repaired[wrong[:4], 1], data.y[wrong[:4]])
    assert torch.equal(repaired[wrong[4:]], labels[wrong[4:]])
    rows = torch.tensor([3, int(wrong[0]), int(wrong[5])])
    assert torch.equal(guard.repaired(labels[rows], data.y[rows], rows), repaired[rows])

    draw = generator(0, "params")
    params = {
        k: torch.randn(v.shape, dtype=torch.float64, generator=draw)
        for k, v in model.init(generator(0, "i"), 2).items()
    }
    known = (x[wrong[:4]], data.y[wrong[:4]])
    rest, pull = guard.gradient(model, params, x[20:30], labels[20:30], None, known)
    found = {k: torch.zeros_like(v) for k, v in params.items()}
    pull(rest, found, 1.0)

    axis = model.replica_axis
    own = known[1].unsqueeze(1).expand(-1, 2)
    mean = mean_gradient(model, params, known[0], own)
    each = [mean_gradient(model, params, x[i : i + 1], labels[i : i + 1]) for i in range(20, 30)]
    weight = torch.stack([dot(one, mean, axis).clamp(min=0) for one in each])
    assert (weight > 0).any() and (weight == 0).any()
    share = weight / weight.sum(0)
    for name, value in found.items():
        batch = sum(share[i] * one[name] for i, one in enumerate(each))  # replicas stand last in its weights
        wanted = gold.SHARE * mean[name] + (1 - gold.SHARE) * batch
        torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize(
    "text", ["trimmed_loss:0.3", "knn:5", "gold:12", "gold_alone:12", "gce:0.7+knn:3+trimmed_loss:0.2"]
)
def test_a_guarded_epoch_against_a_plain_loop(text, multi):
    """Steps one replica at a time, each by the mean gradient of what counts."""
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.3, defence=text)
    threat = Threat(0.8, 0.4, selection="random")
    data = material(models.build("logistic", multi), multi, "cpu")
    run = stack_run(data, recipe, 0, (Threat(), threat))
    seen = []
    for _ in run.advance():
        seen.append(run.main.labels)
    labels = [seen[0], seen[-1]]
    task, guard = run.task, run.task.guard
    for column in range(2):
        one = task.model
        params = one.init(generator(0, "init"), 1)
        step = 0
        for epoch in range(2):
            given = guard.repaired(labels[epoch][:, column : column + 1].long(), task.y)
            counted = guard.counted(given)
            done = 0
            for end, rows in task.way.batches(task, epoch, 0, 1):
                step += 1
                own = rows[0]
                weight = torch.ones(len(own)) if counted is None else counted[own, 0].float()
                logits = one.logits(params, task.x[own]).squeeze(2)
                losses = torch.nn.functional.cross_entropy(logits, given[own, 0], reduction="none")
                if guard.trimmed:
                    alive = weight.nonzero().flatten()
                    order = alive[losses[alive].argsort(descending=True, stable=True)]
                    weight[order[: int(guard.trimmed * len(alive))]] = 0
                parts = [mean_gradient(one, params, task.x[i : i + 1], given[i : i + 1]) for i in own]
                total = {k: torch.zeros_like(v) for k, v in params.items()}
                share = 1.0
                if guard.gold is not None:
                    known = gold.batch(guard.gold, 0, step)
                    mean = mean_gradient(one, params, task.x[known], task.y[known].unsqueeze(1))
                    share = 0.0 if guard.alone else 1 - gold.SHARE
                    weight = weight * torch.stack([dot(g, mean, one.replica_axis)[0] for g in parts]).clamp(
                        min=0
                    )
                    for k, v in mean.items():
                        total[k] += (1 - share) * v
                for w, g in zip(weight, parts, strict=True):
                    for k, v in g.items():
                        total[k] += share * float(w / weight.sum().clamp(min=1e-30)) * v
                if one.loss.weight is not None:  # the mean gradients above have the loss's own weight already
                    assert "gce" in text
                params = {k: v - recipe.learning_rate * total[k] for k, v in params.items()}
                done = end
            assert done == len(task.y)
        found = {k: v.select(one.replica_axis[k], column) for k, v in run.main.params.items()}
        for k, v in params.items():
            torch.testing.assert_close(found[k], v.select(one.replica_axis[k], 0), atol=1e-5, rtol=1e-4)


def test_gold_alone_sees_no_flips(multi):
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.3, defence="gold_alone:20")
    clean, attacked = train(multi, threats=[Threat(1.0, 1.0)], seeds=[1], recipe=recipe).runs
    np.testing.assert_array_equal(clean.curve("accuracy"), attacked.curve("accuracy"))
    assert attacked.curve("flips").sum() > 0


def test_redundancy_is_less_write_access(multi):
    k = 3 * 0.4**2 * 0.6 + 0.4**3
    plain = Recipe(epochs=3, batch_size=16, learning_rate=0.3)
    redundant = Recipe(epochs=3, batch_size=16, learning_rate=0.3, defence="redundancy:3")
    asked, less = Threat(0.4, 0.5), Threat(k, 0.5)
    own = train(multi, threats=[asked], seeds=[0], recipe=redundant).runs[1]
    wanted = train(multi, threats=[less], seeds=[0], recipe=plain).runs[1]
    assert own.threat == asked
    np.testing.assert_array_equal(own.curves, wanted.curves)


@pytest.mark.parametrize("text", ["knn:5", "trimmed_loss:0.3", "gold:10"])
def test_who_knows_the_guard_finds_no_less_harmful_flips(text):
    """Judged by the guarded gradient that it tries on, from the same parameters."""
    data = blobs(4, n=200, spread=0.7, seed=1)
    found = {}
    outcome = past_guards.past_the_guard

    def watched(trial, propose):
        best = outcome(trial, propose)
        found.setdefault("pairs", []).append((trial.outcome(best)[0], trial.outcome(propose(1.0, None))[0]))
        return best

    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.3, defence=text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("turncoat.training.choice.past_the_guard", watched)
        train(
            data,
            threats=[Threat(0.9, 0.2, aware=True), Threat(0.5, 0.2, aware=True)],
            seeds=[0],
            recipe=recipe,
        )
    assert len(found["pairs"]) == 3
    assert all((aware >= naive - 1e-6).all() for aware, naive in found["pairs"])
    assert any((aware > naive + 1e-6).any() for aware, naive in found["pairs"])


GUARDS = (
    "trimmed_loss:0.3",
    "knn:5",
    "gold:12",
    "gold:40+knn:3+trimmed_loss:0.2",
    "gce:0.7+gold:12+trimmed_loss:0.1",
    "label_smoothing:0.2+gold:12",
    "symmetric:0.1:1+clip:1+gold:9",
)


@dataclasses.dataclass(frozen=True)
class Anew(past_guards.Trial):
    """A trial that takes its products anew."""

    given: tuple = ()

    def outcome(self, chosen):
        return trials_anew.outcome(self, *self.given, chosen)


def anew(trial, *given):
    return Anew(**vars(trial), given=given)


@pytest.mark.parametrize("name", ["logistic", "mlp:6"])
@pytest.mark.parametrize("text", GUARDS)
def test_trials_by_what_is_known_once_against_whole_gradients(text, name, multi):
    recipe = Recipe(defence=text)
    model = dataclasses.replace(defended(models.build(name, multi), recipe), chunk=32)
    x = model.prepare(multi.x).double()
    guard = guard_of(model, recipe, x, multi.y, 0)
    draw = generator(0, "params")

    def params():
        start = model.init(generator(0, "i"), 3)
        return {k: torch.randn(v.shape, dtype=torch.float64, generator=draw) for k, v in start.items()}

    given = params(), params()
    own = torch.randperm(len(x), generator=draw)[:50]
    known = None if guard.gold is None else (x[guard.gold], multi.y[guard.gold])
    trial = past_guards.look(guard, model, *given, x, multi.y, own, known)
    slow = anew(trial, model, *given, x, known)
    for share in (0.0, 0.2, 1.0):
        chosen = multi.y[own].unsqueeze(1).repeat(1, 3)
        count = int(share * len(own))
        chosen[:count] = torch.randint(0, 4, (count, 3), generator=draw)
        (harm, counts), (wanted, wanted_counts) = trial.outcome(chosen), slow.outcome(chosen)
        torch.testing.assert_close(harm, wanted)
        assert torch.equal(counts, wanted_counts)
        assert counts.any()


@pytest.mark.parametrize("selection", ["optimal", "as_printed", "least_likely"])
@pytest.mark.parametrize("text", ["trimmed_loss:0.3", "knn:5", "gce:0.7+gold:10"])
def test_what_is_chosen_past_a_guard_by_whole_gradients(text, selection):
    """A whole training: scores and trials anew for each proposal, from the same parameters."""
    data = blobs(4, n=200, spread=0.7, seed=1)
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.3, defence=text)
    given, found = [], []
    look, chooser, past_the_guard = choice.look, choice.chooser, choice.past_the_guard

    def watched_look(guard, model, params, direction, x, y, own, known):
        given.append((model, params, direction, x, known))
        return look(guard, model, params, direction, x, y, own, known)

    def scored_anew(*looked):
        *rest, draw = looked
        first = draw.clone_state()
        shared = chooser(*rest, draw)

        def choose(quotas, barred):
            chosen = shared(quotas, barred)
            found.append(torch.equal(chosen, chooser(*rest, first.clone_state())(quotas, barred)))
            return chosen

        return choose

    def both(trial, propose):
        chosen = past_the_guard(trial, propose)
        found.append(torch.equal(chosen, past_the_guard(anew(trial, *given[-1]), propose)))
        return chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "look", watched_look)
        patch.setattr(choice, "chooser", scored_anew)
        patch.setattr(choice, "past_the_guard", both)
        threats = [Threat(k, 0.2, selection=selection, aware=True) for k in (0.9, 0.5)]
        train(data, threats=threats, seeds=[0], recipe=recipe)
    assert len(given) == 3 and all(found)
