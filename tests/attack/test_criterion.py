"""The loss of the user's loop: what is reported is its own objective, and the flips are its minimum."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import turncoat
from turncoat import TurncoatError
from turncoat.attack import label_scores
from turncoat.attack.selection import SELECTIONS
from turncoat.models.criterion import Criterion
from turncoat.models.known_losses import criterion

N, CLASSES = 6, 3
UNEVEN = torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)


def made(seed=0, n=N, classes=CLASSES):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, classes)).double()
        return net, torch.randn(n, 4, dtype=torch.float64), torch.randint(0, classes, (n,))


def gradient(net, x, y, loss):
    value = loss(net(x), y)
    found = torch.autograd.grad(value if value.ndim == 0 else value.mean(), list(net.parameters()))
    return torch.cat([g.flatten() for g in found])


def as_vector(direction):
    return torch.cat([value.flatten() for value in direction.values()])


def labelings(y, flips, ignored=-100):
    """All labels within the budget; rows without a label keep having none."""
    choices = [[int(c)] if c == ignored else range(CLASSES) for c in y]
    for labels in itertools.product(*choices):
        new = torch.tensor(labels)
        if int((new != y).sum()) <= flips:
            yield new


LOSSES = {
    "plain": nn.CrossEntropyLoss(),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "none": nn.CrossEntropyLoss(reduction="none"),
    "weighted": nn.CrossEntropyLoss(weight=UNEVEN),
    "weighted sum": nn.CrossEntropyLoss(weight=UNEVEN, reduction="sum"),
    "weighted none": nn.CrossEntropyLoss(weight=UNEVEN, reduction="none"),
    "smooth": nn.CrossEntropyLoss(label_smoothing=0.3),
    "weighted smooth": nn.CrossEntropyLoss(weight=UNEVEN, label_smoothing=0.3),
    "weighted smooth sum": nn.CrossEntropyLoss(weight=UNEVEN, label_smoothing=0.3, reduction="sum"),
    "a class without weight": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 3.0]).double()),
    "margin": nn.MultiMarginLoss(weight=UNEVEN),
    "margin sum": nn.MultiMarginLoss(reduction="sum"),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("seed", [0, 1])
def test_no_labelling_within_the_budget_is_lower(name, seed):
    loss, (net, x, y) = LOSSES[name], made(seed)
    y[0] = 2  # so that the labels never weigh nothing all together
    toward = -gradient(net, x, y, loss)
    values = [
        (int((new != y).sum()), -float(gradient(net, x, new, loss) @ toward)) for new in labelings(y, N - 3)
    ]
    for flips in range(N - 2):
        found = turncoat.worst_flips(net, x, y, flips, loss=loss)
        lowest = min(value for spent, value in values if spent <= flips)
        assert found.alignment_after == pytest.approx(lowest, rel=1e-9)


@pytest.mark.parametrize("ignored", [-100, 7])
def test_rows_that_the_loss_ignores_stay(ignored):
    net, x, y = made()
    y[[1, 4]] = ignored
    for loss in (
        nn.CrossEntropyLoss(ignore_index=ignored),
        nn.CrossEntropyLoss(weight=UNEVEN, ignore_index=ignored, label_smoothing=0.1),
    ):
        toward = -gradient(net, x, y, loss)
        for flips in (0, 2, 6):
            found = turncoat.worst_flips(net, x, y, flips, loss=loss)
            lowest = min(-float(gradient(net, x, new, loss) @ toward) for new in labelings(y, flips, ignored))
            assert found.alignment_after == pytest.approx(lowest, rel=1e-9)
            assert found.labels[[1, 4]].tolist() == [ignored] * 2
        assert (
            turncoat.worst_flips(net, x, y, 4, loss=loss, selection="random").labels[[1, 4]].eq(ignored).all()
        )


@pytest.mark.parametrize("rule", sorted(SELECTIONS))
@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("aimed", [False, True])
def test_the_objective_is_that_of_the_loss_on_all_rows(rule, name, aimed):
    loss, (net, x, y) = LOSSES[name], made(n=40)
    aim = {key: torch.sin(p.detach() * 9) for key, p in net.named_parameters()}
    toward = as_vector(aim) if aimed else -gradient(net, x, y, loss)
    flips = turncoat.worst_flips(net, x, y, 9, aim if aimed else "untargeted", loss, rule)
    assert flips.alignment_before == pytest.approx(-float(gradient(net, x, y, loss) @ toward), rel=1e-9)
    assert flips.alignment_after == pytest.approx(
        -float(gradient(net, x, flips.labels, loss) @ toward), rel=1e-9
    )
    for i, gain in zip(flips.indices[:3], flips.gain[:3], strict=True):
        alone = y.clone()
        alone[i] = flips.labels[i]
        change = float((gradient(net, x, y, loss) - gradient(net, x, alone, loss)) @ toward)
        assert float(gain) == pytest.approx(change, rel=1e-6, abs=1e-12)


def test_weights_move_the_choice():
    net, x, y = made(n=40)
    plain = turncoat.worst_flips(net, x, y, 9)
    heavy = turncoat.worst_flips(net, x, y, 9, loss=LOSSES["weighted"])
    assert not torch.equal(plain.labels, heavy.labels)


def test_scores_of_a_weighted_loss_are_those_of_its_sum():
    net, x, y = made()
    params = {name: p.detach() for name, p in net.named_parameters()}
    aim = {name: torch.sin(p * 9) for name, p in params.items()}
    for weighted, summed in (("weighted", "weighted sum"), ("weighted smooth", "weighted smooth sum")):
        scores = label_scores(
            lambda p, rows: torch.func.functional_call(net, p, (rows,)), params, x, aim, LOSSES[weighted]
        )
        by_gradient = -float(gradient(net, x, y, LOSSES[summed]) @ as_vector(aim))
        assert float(scores[torch.arange(N), y].sum()) == pytest.approx(by_gradient, rel=1e-9)


def focal(z, label):
    log = z.log_softmax(0)[label]
    return -((1 - log.exp()) ** 2) * log


def test_a_loss_of_one_example_is_averaged():
    net, x, y = made(n=40)
    flips = turncoat.worst_flips(net, x, y, 9, loss=focal)

    def mean(logits, labels):
        return sum(focal(z, c) for z, c in zip(logits, labels, strict=True)) / len(labels)

    honest, after = (gradient(net, x, labels, mean) for labels in (y, flips.labels))
    assert flips.alignment_after == pytest.approx(float(honest @ after), rel=1e-9)
    for taking_batches in (F.cross_entropy, lambda z, c: F.nll_loss(z.log_softmax(-1), c)):
        plain = turncoat.worst_flips(net, x, y, 9, loss=taking_batches)
        assert torch.equal(plain.labels, turncoat.worst_flips(net, x, y, 9).labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("zero", [False, True])
def test_a_mean_that_divides_by_weights_is_refused(dtype, zero):
    net, x, y = made()
    weight = UNEVEN.to(dtype) * torch.tensor([not zero, 1, 1])
    log = nn.Sequential(net, nn.LogSoftmax(1)).to(dtype)
    for module, loss in (
        (net.to(dtype), lambda z, c: F.cross_entropy(z, c, weight=weight)),
        (log, nn.NLLLoss(weight=weight)),
    ):
        with pytest.raises(TurncoatError, match=r"divides by the labels' weights.*reduction='none'") as told:
            turncoat.worst_flips(module, x.to(dtype), y, 2, loss=loss)
        assert "\n" not in str(told.value)
    turncoat.worst_flips(log, x.to(dtype), y, 2, loss=nn.NLLLoss(weight=weight, reduction="none"))


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("cross_entropy", "loss is 'cross_entropy', but must be a function"),
        (3, "loss is 3"),
        (nn.CrossEntropyLoss(weight=torch.ones(4)), r"weight has shape \(4,\), but must be \(3,\)"),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, torch.nan, 1.0])), "finite and 0 or more"),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, -1.0, 1.0])), "finite and 0 or more"),
        (nn.CrossEntropyLoss(weight=torch.zeros(3)), "sum to 0"),
        (nn.CrossEntropyLoss(ignore_index=1), "ignores label 1, which is one of the 3 classes"),
        (nn.MSELoss(), "one number for one example|failed on one example"),
        (lambda z: z.sum(), "failed on one example"),
        (nn.TripletMarginLoss(), "failed on one example"),
    ],
)
@pytest.mark.usefixtures("as_users_run")
def test_what_is_no_loss_of_one_example(loss, words):
    net, x, y = made()
    with pytest.raises(TurncoatError, match=words) as told:
        turncoat.worst_flips(net, x, y, 2, loss=loss)
    assert "\n" not in str(told.value)


def test_labels_that_would_weigh_nothing():
    net, x, y = made()
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 0.0]).double())
    y[:] = 1
    y[0] = 0
    with pytest.raises(TurncoatError, match="sum to 0"):
        turncoat.worst_flips(net, x, y, N, loss=loss, selection="cyclic")
    y[:] = -100
    with pytest.raises(TurncoatError, match="every label is -100"):
        turncoat.worst_flips(net, x, y, 1)


def test_the_divisor_counts_what_the_loss_counts():
    net, x, y = made(n=50)
    y[::7] = -100
    for loss in LOSSES.values():
        if isinstance(loss, nn.CrossEntropyLoss):
            one = criterion(loss, CLASSES, x)
            assert isinstance(one, Criterion)
            rest = one.slopes(net(x).detach(), y) / one.divisor(y)
            logits = net(x).detach().requires_grad_()
            value = loss(logits, y)
            value = value if value.ndim == 0 else value.sum() / (y >= 0).sum()
            (expected,) = torch.autograd.grad(value, logits)
            assert torch.allclose(rest, expected, rtol=1e-9)
