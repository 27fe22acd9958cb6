"""The attack in one's own loop: on modules with buffers, BatchNorm and dropout, which it leaves as they were."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import turncoat
from turncoat import TurncoatError
from turncoat.attack.selection import SELECTIONS

pytestmark = pytest.mark.filterwarnings("ignore:evaluation-mode")


class Residual(nn.Module):
    """A small convolutional network of the usual kind."""

    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(True))
        self.block = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
        )
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.register_buffer("calls", torch.zeros(()))
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(24, classes))

    def forward(self, x):
        self.calls += 1
        x = self.stem(x)
        x = F.relu(x + self.block(x))
        return self.classifier(torch.flatten(self.pool(x), 1))


def made(seed=0, dtype=torch.float64, classes=5):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Residual(classes).to(dtype)
        x = torch.randn(30, 3, 6, 6, dtype=dtype)
        y = torch.randint(0, classes, (30,))
        for _ in range(3):  # running statistics that are not their defaults
            net(x)
    return net, x, y


def gradients(net, x, y, loss=F.cross_entropy):
    quiet = copy.deepcopy(net).eval()
    value = sum(loss(z, c) for z, c in zip(quiet(x), y, strict=True)) / len(x)
    found = torch.autograd.grad(value, list(quiet.parameters()))
    return {name: g for (name, _), g in zip(quiet.named_parameters(), found, strict=True)}


def dot(a, b):
    return float(sum((a[name] * b[name]).sum() for name in a))


def focal(z, label):
    log = z.log_softmax(0)[label]
    return -((1 - log.exp()) ** 2) * log


@pytest.mark.parametrize("loss", [None, focal, nn.CrossEntropyLoss(label_smoothing=0.1)])
@pytest.mark.parametrize("rule", sorted(SELECTIONS))
@pytest.mark.parametrize("aimed", [False, True])
def test_what_is_reported_is_what_the_flips_do(rule, loss, aimed):
    net, x, y = made()
    honest = gradients(net, x, y, loss or F.cross_entropy)
    toward = (
        {k: torch.randn_like(v) for k, v in honest.items()} if aimed else {k: -g for k, g in honest.items()}
    )
    flips = turncoat.worst_flips(net, x, y, 6, toward if aimed else "untargeted", loss, rule)
    assert torch.equal(flips.indices, (flips.labels != y).nonzero().squeeze(1)) and len(flips.indices) <= 6
    after = gradients(net, x, flips.labels, loss or F.cross_entropy)
    assert flips.alignment_before == pytest.approx(-dot(honest, toward), rel=1e-9)
    assert flips.alignment_after == pytest.approx(-dot(after, toward), rel=1e-9)
    for i, gain in zip(flips.indices[:2], flips.gain[:2], strict=True):
        single = y.clone()
        single[i] = flips.labels[i]
        alone = gradients(net, x, single, loss or F.cross_entropy)
        assert float(gain) == pytest.approx(dot(honest, toward) - dot(alone, toward), rel=1e-6)


def test_optimal_beats_every_other_rule():
    net, x, y = made()
    after = {rule: turncoat.worst_flips(net, x, y, 6, selection=rule).alignment_after for rule in SELECTIONS}
    assert after["optimal"] <= min(after.values()) + 1e-12
    assert after["random"] > after["optimal"] < after["as_printed"]


@pytest.mark.parametrize("rule", sorted(SELECTIONS))
@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_as_it_was(rule, training):
    net, x, y = made()
    net.train(training)
    net.block.eval()  # as when a part is fine-tuned with frozen statistics
    net.stem[0].weight.requires_grad_(False)
    for p in net.classifier.parameters():
        p.grad = torch.full_like(p, 2.0)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    flags = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in net.parameters()]
    state, labels = torch.get_rng_state(), y.clone()
    turncoat.worst_flips(net, x, y, 4, selection=rule)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(labels, y)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    for p, (wanted, grad) in zip(net.parameters(), flags, strict=True):
        assert p.requires_grad == wanted
        assert (p.grad is None) == (grad is None) and (grad is None or torch.equal(p.grad, grad))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


def test_modes_are_put_back_after_an_error():
    net, x, y = made()
    with pytest.raises(TurncoatError):
        turncoat.worst_flips(net, x, y + 3, 4)
    assert net.training and net.classifier[0].training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions(dtype):
    net, x, y = made(dtype=dtype)
    flips = turncoat.worst_flips(net, x, y.int(), 5)
    assert flips.gain.dtype == dtype and flips.labels.dtype == torch.int32
    assert flips.alignment_after < flips.alignment_before


def test_what_is_not_finite_is_told():
    net, x, y = made()
    spoilt = x.clone()
    spoilt[5].view(-1)[0] = torch.nan
    with pytest.raises(TurncoatError, match=r"row 5 .counted from 0. are not finite: its features"):
        turncoat.worst_flips(net, spoilt, y, 4, direction=ones(net))
    with pytest.raises(TurncoatError, match="not finite"):
        turncoat.worst_flips(net, spoilt, y, 4)
    with torch.no_grad():
        next(net.parameters()).view(-1)[0] = torch.nan
    with pytest.raises(TurncoatError, match="the training has diverged"):
        turncoat.worst_flips(net, x, y, 4)


def ones(net):
    return {name: torch.ones_like(p) for name, p in net.named_parameters() if p.requires_grad}


@pytest.mark.usefixtures("as_users_run")
def test_other_types_are_told():
    net, x, y = made()
    with pytest.raises(TurncoatError, match="x is of type ndarray, but must be a tensor"):
        turncoat.worst_flips(net, x.numpy(), y, 4)
    with pytest.raises(TurncoatError, match=r"x is torch.float64, .* try x.to\(torch.float32\)"):
        turncoat.worst_flips(torch.nn.Linear(3, 2), torch.ones(4, 3).double(), torch.zeros(4).long(), 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu():
    net, x, y = made()
    here = turncoat.worst_flips(net, x, y, 5)
    there = turncoat.worst_flips(net.cuda(), x.cuda(), y.cuda(), 5)
    assert there.labels.is_cuda and torch.equal(there.labels.cpu(), here.labels)


def test_many_chunks_are_one(monkeypatch):
    net, x, y = made()
    whole = turncoat.worst_flips(net, x, y, 5)
    monkeypatch.setattr("turncoat.attack.derivatives.CHUNK", 7)
    parts = turncoat.worst_flips(net, x, y, 5)
    assert torch.equal(whole.labels, parts.labels)
    assert parts.alignment_after == pytest.approx(whole.alignment_after)


def test_random_rules_draw_from_the_given_generator():
    net, x, y = made()

    def chosen(seed):
        draw = torch.Generator().manual_seed(seed)
        return turncoat.worst_flips(net, x, y, 5, selection="random", generator=draw).labels

    assert torch.equal(chosen(1), chosen(1)) and not torch.equal(chosen(1), chosen(2))


def test_a_rule_of_ones_own():
    net, x, y = made()

    def first(scores, labels, flips, generator):
        assert scores.shape == (30, 5)
        labels[:flips] = (labels[:flips] + 1) % 5
        return labels

    flips = turncoat.worst_flips(net, x, y, 3, selection=first)
    assert flips.indices.tolist() == [0, 1, 2]


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.layer(x.flatten(2).transpose(1, 2)[:, :, :3].repeat(1, 1, 3)[:, :, :8]).mean(1))


def test_torchs_own_attention():
    net = Transformer().double()
    _, x, y = made()
    flips = turncoat.worst_flips(net, x, y, 5)
    honest, after = gradients(net, x, y), gradients(net, x, flips.labels)
    assert flips.alignment_after == pytest.approx(dot(honest, after), rel=1e-9)
    assert net.training and torch.backends.mha.get_fastpath_enabled()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(6, 4, batch_first=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.cell(x.flatten(1, 2))[0][:, -1])


def test_without_forward_mode_the_last_layer_still_works():
    net, (_, x, y) = Recurrent(), made(dtype=torch.float32)
    with pytest.raises(TurncoatError, match=r"rnn.*use selection 'last_layer'"):
        turncoat.worst_flips(net, x, y, 5)
    flips = turncoat.worst_flips(net, x, y, 5, selection="last_layer")
    honest, after = gradients(net, x, y), gradients(net, x, flips.labels)
    assert len(flips.indices) == 5
    assert flips.alignment_after == pytest.approx(dot(honest, after), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flips": 31}, "flips is 31, but there are only 30"),
        ({"flips": -1}, "flips is -1"),
        ({"y": torch.full((30,), 5)}, "labels run from 5 to 5, but the module has 5 classes"),
        ({"y": torch.full((30,), -1)}, "labels run from -1"),
        ({"y": torch.zeros(29, dtype=torch.int64)}, r"\(29,\) torch.int64 for 30 examples"),
        ({"direction": "target"}, "direction is 'target'"),
        ({"direction": {}}, "the direction lacks 'stem.0.weight'"),
        ({"selection": "optimum"}, "did you mean 'optimal'"),
        ({"loss": lambda z, c: z}, "one number for one example"),
        ({"module": nn.Flatten()}, "no trainable parameters"),
        ({"module": nn.Conv2d(3, 5, 3).double()}, "must be .n, c."),
        ({"x": torch.zeros(30, 3, 5, dtype=torch.float64)}, r"does not take examples of shape \(3, 5\)"),
        ({"x": torch.zeros(0, 3, 6, 6), "y": torch.zeros(0, dtype=torch.int64)}, "no examples"),
    ],
)
def test_mistakes_are_told_in_one_line(change, words):
    net, x, y = made()
    given = {"module": net, "x": x, "y": y, "flips": 3} | change
    with pytest.raises(TurncoatError, match=words) as told:
        turncoat.worst_flips(**given)
    assert "\n" not in str(told.value)


def test_a_misshapen_direction():
    net, x, y = made()
    toward = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    toward["classifier.1.bias"] = torch.zeros(4, dtype=torch.float64)
    with pytest.raises(
        TurncoatError, match=r"'classifier.1.bias' has shape \(4,\), but the parameter has \(5,\)"
    ):
        turncoat.worst_flips(net, x, y, 3, toward)
