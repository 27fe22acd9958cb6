"""Modules that act differently in training mode: told by name, with the objective of that mode beside."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import turncoat
from turncoat import TurncoatError
from turncoat.errors import EvaluationModeWarning, TurncoatWarning


def made(*middle, n=40, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 6), *middle, nn.Linear(6, 3)).double()
        x, y = 3 * torch.randn(n, 4, dtype=torch.float64) + 1, torch.randint(0, 3, (n,))
        for _ in range(3):  # running statistics of their own
            net(x[: n // 2 + 1].repeat(2, 1))
    return net, x, y


def gradient(net, x, y):
    """Of the mean loss in the modes in which the module stands, as one batch."""
    net = copy.deepcopy(net)
    found = torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters()))
    return torch.cat([g.flatten() for g in found])


def warned(net, x, y, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        flips = turncoat.worst_flips(net, x, y, *args, **kwargs)
    (told,) = [one for one in caught if issubclass(one.category, TurncoatWarning)]
    assert told.category is EvaluationModeWarning and told.filename == __file__
    said = str(told.message)
    assert said.startswith("evaluation-mode: ") and "\n" not in said
    return flips, said


def test_batch_norm_is_named_and_its_own_objective_stands_beside():
    net, x, y = made(nn.BatchNorm1d(6), nn.ReLU())
    flips, said = warned(net, x, y, 6)
    assert "'1' (BatchNorm1d)" in said and "'1' (BatchNorm1d)" in flips.note
    training, resting = copy.deepcopy(net).train(), copy.deepcopy(net).eval()
    for mode, before, after in (
        (resting, flips.alignment_before, flips.alignment_after),
        (training, flips.alignment_before_training, flips.alignment_after_training),
    ):
        honest, poisoned = gradient(mode, x, y), gradient(mode, x, flips.labels)
        assert before == pytest.approx(float(honest @ honest), rel=1e-9)
        assert after == pytest.approx(float(honest @ poisoned), rel=1e-9)
    assert abs(flips.alignment_before_training / flips.alignment_before - 1) > 0.1


def test_a_direction_is_the_same_in_both_modes():
    net, x, y = made(nn.BatchNorm1d(6))
    aim = {name: torch.sin(9 * p.detach()) for name, p in net.named_parameters()}
    flips, _ = warned(net, x, y, 6, aim)
    toward = torch.cat([value.flatten() for value in aim.values()])
    assert flips.alignment_before_training == pytest.approx(-float(gradient(net.train(), x, y) @ toward))


@pytest.mark.parametrize("came_training", [True, False])
def test_a_module_at_rest_is_taken_to_train_in_training_mode(came_training):
    net, x, y = made(nn.BatchNorm1d(6))
    flips, _ = warned(net.train(came_training), x, y, 6)
    honest = gradient(copy.deepcopy(net).train(), x, y)
    assert flips.alignment_before_training == pytest.approx(float(honest @ honest), rel=1e-9)
    assert net.training == came_training and net[1].training == came_training


def test_frozen_statistics_are_no_difference():
    net, x, y = made(nn.BatchNorm1d(6), nn.Dropout(0.0))
    net[1].eval()
    flips = turncoat.worst_flips(net, x, y, 6)
    assert not flips.note
    assert flips.alignment_before_training == flips.alignment_before
    assert flips.alignment_after_training == flips.alignment_after


def test_layers_without_modes_say_nothing():
    net, x, y = made(nn.LayerNorm(6), nn.GELU(), nn.Dropout(0.0))
    flips = turncoat.worst_flips(net, x, y, 6)
    assert not flips.note and flips.alignment_after_training == flips.alignment_after


class Rounding(nn.Module):
    """Adds in another order in training mode, as other kernels do."""

    def forward(self, x):
        x = x.float()
        return ((x + 100.0) - 100.0 if self.training else x).double()


def test_rounding_is_no_difference():
    net, x, y = made(Rounding())
    assert not torch.equal(net.train()(x), copy.deepcopy(net).eval()(x))
    assert not turncoat.worst_flips(net, x, y, 6).note


class OwnDropout(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=self.training)


class TwoHeaded(nn.Linear):
    """With a second output in training mode, as networks with auxiliary classifiers."""

    def forward(self, x):
        return (super().forward(x), x) if self.training else super().forward(x)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.Dropout(0.3), "'1' (Dropout)"),
        (nn.AlphaDropout(0.3), "'1' (AlphaDropout)"),
        (nn.RReLU(), "'1' (RReLU)"),
        (OwnDropout(), "'1' (OwnDropout)"),
        (nn.Sequential(nn.Tanh(), OwnDropout()), "'1.1' (OwnDropout)"),
    ],
)
def test_layers_that_draw_are_named_and_draw_the_same_each_time(layer, name):
    net, x, y = made(layer)
    flips, said = warned(net, x, y, 6)
    again, _ = warned(net, x, y, 6)
    assert name in said
    assert flips.alignment_before_training == again.alignment_before_training > 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        honest = gradient(net.train(), x, y)
    assert flips.alignment_before_training == pytest.approx(float(honest @ honest), rel=1e-9)


def test_many_layers_are_counted():
    net, x, y = made(*(nn.Dropout(0.1) for _ in range(5)))
    _, said = warned(net, x, y, 6)
    assert "'1' (Dropout), '2' (Dropout), '3' (Dropout) and 2 more" in said


def test_many_rows_go_in_random_batches():
    net, x, y = made(nn.BatchNorm1d(6), n=300)
    order = y.argsort()  # sorted rows: batches in their order would hold one class each
    x, y = x[order], y[order]
    flips, _ = warned(net, x, y, 30)
    shuffled = torch.randperm(300, generator=torch.Generator().manual_seed(0)).tensor_split(3)
    net.train()

    def mean(labels):
        return sum(len(rows) / 300 * gradient(net, x[rows], labels[rows]) for rows in shuffled)

    assert flips.alignment_before_training == pytest.approx(float(mean(y) @ mean(y)), rel=1e-9)
    assert flips.alignment_after_training == pytest.approx(float(mean(y) @ mean(flips.labels)), rel=1e-9)


@pytest.mark.parametrize("single", [True, False])
def test_what_takes_no_such_batch_in_training_has_no_figure_there(single):
    net, x, y = made(nn.BatchNorm1d(6))
    if single:
        x, y = x[:1], y[:1]
    else:
        net[2] = two_headed(net[2])
    flips, _ = warned(net, x, y, 1)
    assert flips.alignment_before_training is None and flips.alignment_after_training is None
    assert flips.alignment_after < flips.alignment_before


def two_headed(layer):
    new = TwoHeaded(6, 3).double()
    new.load_state_dict(layer.state_dict())
    return new


def test_warnings_can_be_caught_by_their_kind():
    assert issubclass(EvaluationModeWarning, TurncoatWarning) and issubclass(TurncoatWarning, UserWarning)
    assert turncoat.TurncoatWarning is TurncoatWarning


class Centring(nn.Module):
    def forward(self, z):
        return z - z.mean(0)


class Noise(nn.Module):
    def forward(self, z):
        return z + torch.randn_like(z)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, a, b):
        return self.linear(a * b)


class Cut(nn.Linear):
    def forward(self, z):
        return super().forward(z).detach()


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            nn.Sequential(nn.Linear(4, 3), Centring()),
            "answers differently for an example alone and beside others",
        ),
        (
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)),
            "takes no example alone",
        ),
        (nn.Sequential(nn.Linear(4, 3), Noise()), "answers differently when asked twice"),
        (nn.Sequential(nn.LazyLinear(3)), r"'0.weight' has no shape before its first call: call module\(x"),
        (Pair(), r"examples of shape \(4,\): .*missing 1 required positional argument: 'b'"),
        (Cut(4, 3), "has no gradient"),
        (nn.Linear(5, 3), r"does not take examples of shape \(4,\)"),
        (None, "module is None, but must be a torch.nn.Module"),
        ("net", "module is 'net'"),
        (nn.Linear, "must be a torch.nn.Module"),
    ],
)
@pytest.mark.parametrize("sort", [False, True])
def test_modules_that_do_not_fit(module, words, sort):
    x, y = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    if sort:
        x[:5] = x[0].clone()  # first rows alike would hide what mixes them
    with pytest.raises(TurncoatError, match=words) as told:
        turncoat.worst_flips(module, x, y, 3)
    assert "\n" not in str(told.value)
