"""Label scores against per-example gradients, one label at a time, and optimality against all labelings."""

import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from turncoat import TurncoatError
from turncoat.attack import flip_labels
from turncoat.models.logistic import logistic, with_bias
from turncoat.models.scores import centred, label_scores
from turncoat.models.stack import head_only


def network(features=6, classes=4, seed=0, hidden=9):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()


def setting(seed=0, n=8):
    net = network(seed=seed)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=draw, dtype=torch.float64)
    params = {name: p.detach() for name, p in net.named_parameters()}
    toward = {k: torch.randn(v.shape, generator=draw, dtype=torch.float64) for k, v in params.items()}
    return net, params, x, toward


def call(net):
    return lambda params, x: functional_call(net, params, (x,))


def smoothing(z, label):
    return F.cross_entropy(z, label, label_smoothing=0.2)


def focal(z, label):
    log = z.log_softmax(0)[label]
    return -((1 - log.exp()) ** 2) * log


def hinge(z, label):
    return F.multi_margin_loss(z.unsqueeze(0), label.unsqueeze(0))


def hinge_by_hand(z, label):
    margin = (1 + z - z[label]).clamp(min=0)
    return (margin.sum() - 1) / len(z)


def one_by_one(net, x, toward, loss, classes=4):
    """-⟨∇ℓ(x_i, c), Δ⟩ by a backward pass for every example and label."""
    names = [name for name, _ in net.named_parameters()]
    values = torch.zeros(len(x), classes, dtype=x.dtype)
    for i, c in itertools.product(range(len(x)), range(classes)):
        g = torch.autograd.grad(loss(net(x[i : i + 1])[0], torch.tensor(c)), list(net.parameters()))
        values[i, c] = -sum((toward[name] * part).sum() for name, part in zip(names, g, strict=True))
    return values


@pytest.mark.parametrize("loss", [smoothing, focal, hinge_by_hand, F.cross_entropy])
def test_scores_of_any_loss_are_gradients_dotted_with_the_direction(loss):
    net, params, x, toward = setting()
    got = label_scores(call(net), params, x, toward, loss=loss, chunk=3)
    torch.testing.assert_close(got, one_by_one(net, x, toward, loss))


def test_cross_entropys_short_form():
    net, params, x, toward = setting()
    scores = label_scores(call(net), params, x, toward)
    wanted = one_by_one(net, x, toward, F.cross_entropy)
    torch.testing.assert_close(centred(scores, net(x).detach()), wanted)
    # only differences between the labels of an example matter, and those need no centring
    torch.testing.assert_close(scores - scores[:, :1], wanted - wanted[:, :1])


def test_hinge_by_hand_is_torchs():
    net, _, x, _ = setting()
    z = net(x).detach()
    for row, c in itertools.product(z, range(4)):
        torch.testing.assert_close(hinge(row, torch.tensor(c)), hinge_by_hand(row, torch.tensor(c)))


@pytest.mark.parametrize("classes", [2, 5])
def test_regressions_closed_form(classes):
    model = logistic(6, classes)
    draw = torch.Generator().manual_seed(0)
    x = with_bias(torch.randn(11, 6, generator=draw))
    params = {k: torch.randn(v.shape, generator=draw) for k, v in model.init(draw, 1).items()}
    toward = {k: torch.randn(v.shape, generator=draw) for k, v in params.items()}
    got = label_scores(lambda p, z: model.logits(p, z).squeeze(2), params, x, toward)
    torch.testing.assert_close(got, model.scores(params, x, toward).squeeze(2))
    by_hand = x @ toward["weight"][:, :, 0]
    torch.testing.assert_close(got if classes > 2 else got[:, 1:], by_hand)


def all_labelings():
    net, params, x, _ = setting(seed=3)
    y = torch.tensor([0, 3, 1, 1, 2, 0, 3, 2])
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters()))
    toward = {name: -g for name, g in zip(params, gradients, strict=True)}
    worth = one_by_one(net, x, toward, F.cross_entropy)  # a labeling's objective is the sum of its entries
    labelings = torch.cartesian_prod(*[torch.arange(4)] * 8)
    objective = worth[torch.arange(8), labelings].sum(1)
    spent = (labelings != y).sum(1)
    return net, params, x, y, toward, labelings, objective, spent


def test_the_objective_of_a_labeling_is_its_gradients():
    net, _, x, _, toward, labelings, objective, _ = all_labelings()
    for k in range(0, len(labelings), 9973):
        g = torch.autograd.grad(
            F.cross_entropy(net(x), labelings[k], reduction="sum"), list(net.parameters())
        )
        dotted = -sum((t * part).sum() for t, part in zip(toward.values(), g, strict=True))
        torch.testing.assert_close(dotted, objective[k])


def test_optimal_attains_the_minimum_over_all_labelings_and_others_do_not():
    net, params, x, y, toward, labelings, objective, spent = all_labelings()
    assert len(labelings) == 4**8
    scores = label_scores(call(net), params, x, toward)
    head = label_scores(call(net), params, x, head_only(toward, ("2.weight", "2.bias")))
    shown = {"optimal": scores, "as_printed": centred(scores, net(x).detach()), "last_layer": head}
    place = 4 ** torch.arange(7, -1, -1)
    missed = dict.fromkeys(shown, 0)
    for flips in range(9):
        best = objective[spent <= flips].min()
        for rule, seen in shown.items():
            new = flip_labels(rule, seen, y, torch.arange(8), flips, torch.Generator())
            k = int((new * place).sum())
            assert torch.equal(labelings[k], new) and spent[k] <= flips
            if rule == "optimal":
                torch.testing.assert_close(objective[k], best)
            missed[rule] += bool(objective[k] > best + 1e-9)
    assert missed["optimal"] == 0 < min(missed["as_printed"], missed["last_layer"])


def test_directions_that_leave_parameters_out():
    net, params, x, toward = setting()
    some = {"0.bias": toward["0.bias"]}
    full = {k: toward[k] if k in some else torch.zeros_like(v) for k, v in params.items()}
    torch.testing.assert_close(
        label_scores(call(net), params, x, some), label_scores(call(net), params, x, full)
    )


class Odd(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


def fused(params, x):
    q = (x @ params["0.weight"].T).view(len(x), 1, 3, 3)
    return F.scaled_dot_product_attention(q, q, q).flatten(1)[:, :4]


def test_fused_attention_is_decomposed():
    _, params, x, toward = setting()
    one = {"0.weight": params["0.weight"]}
    step = {"0.weight": toward["0.weight"]}
    got = label_scores(fused, one, x, step)
    near = [fused({"0.weight": one["0.weight"] + s * step["0.weight"]}, x) for s in (1e-6, -1e-6)]
    torch.testing.assert_close(got, (near[0] - near[1]) / 2e-6, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("logits", "change", "loss", "words"),
    [
        (lambda p, x: (x @ p["0.weight"].T).sum(1), {}, None, r"\(8,\) for 8 examples, but must be \(n, c\)"),
        (lambda p, x: x[:5] @ p["0.weight"].T, {}, None, r"\(5, 9\) for 8 examples"),
        (lambda p, x: Odd.apply(x @ p["0.weight"].T), {}, None, "no forward-mode derivative.*last_layer"),
        (None, {"0.wieght": torch.zeros(1)}, None, "'0.wieght', which is no parameter here"),
        (
            None,
            {"0.weight": torch.zeros(1)},
            None,
            r"'0.weight' has shape \(1,\), but the parameter has \(9, 6\)",
        ),
        (None, {}, lambda z, c: z, r"the loss gives shape \(4,\).*one number for one example"),
        (None, {}, lambda z, c: F.nll_loss(z, c.expand(3)), "the loss failed on one example"),
        (None, {}, lambda z, c: 1.0, "the loss gives float"),
    ],
)
def test_mistakes_are_told_in_one_line(logits, change, loss, words):
    net, params, x, toward = setting()
    with pytest.raises(TurncoatError, match=words) as told:
        label_scores(logits or call(net), params, x, toward | change, loss=loss)
    assert "\n" not in str(told.value)


def test_errors_of_the_model_itself_pass_through():
    _, params, x, toward = setting()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        label_scores(lambda p, z: z @ p["0.weight"], params, x, toward)
