"""Every network as a stack against torch's own autograd, and whole runs against a plain PyTorch loop."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp, vmap

from plain_training import Steps
from turncoat import Recipe, Threat, from_arrays, models, train
from turncoat.models import module
from turncoat.models.scores import label_scores
from turncoat.models.stack import expand, head_only
from turncoat.models.vit import SIZES, VisionTransformer
from turncoat.randomness import generator
from turncoat.threat import CLEAN

NAMES = ("logistic", "mlp:7", "cnn:3", "vit-tiny", "networks:convolutions")


def images(classes, n=48, side=8):
    rng = np.random.default_rng(classes)
    means = rng.normal(size=(classes, 1, side, side))

    def part(size):
        y = rng.permutation(np.arange(size) % classes)
        return (means[y] + 1.5 * rng.normal(size=(size, 1, side, side))).astype(np.float32), y

    (x, y), (x_test, y_test) = part(n), part(30)
    return from_arrays(x, y, x_test=x_test, y_test=y_test, name="images")


@pytest.fixture(scope="module", params=[2, 4])
def data(request):
    return images(request.param)


@pytest.fixture(autouse=True)
def _factories(monkeypatch):
    monkeypatch.syspath_prepend(str(__import__("pathlib").Path(__file__).parent))


def stack(name, data, replicas=3, seed=0):
    model = models.build(name, data)
    draw = torch.Generator().manual_seed(seed)
    params = expand(model.init(draw, 1), replicas, model.replica_axis)
    return model, {k: v + 0.1 * torch.randn(v.shape, generator=draw) for k, v in params.items()}


def noise(params, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(value.shape, generator=draw) for name, value in params.items()}


@pytest.mark.parametrize("name", NAMES)
def test_contract(name, data):
    model, params = stack(name, data)
    x, toward = model.prepare(data.x[:9]), noise(params)
    logits, pull = model.forward(params, x)
    assert logits.shape == (9, data.classes, 3)
    torch.testing.assert_close(logits, model.logits(params, x))
    scores = model.scores(params, x, toward)
    torch.testing.assert_close(scores, jvp(lambda p: model.logits(p, x), (params,), (toward,))[1])
    # scores and pullback are the same linear map, seen from both sides
    rest = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    wanted = torch.autograd.functional.vjp(
        lambda *p: model.logits(dict(zip(params, p, strict=True)), x), tuple(params.values()), rest
    )[1]
    for pulled in (pull, model.pullback(params, x)):
        into = noise(params, 3)
        before = {k: v.clone() for k, v in into.items()}
        pulled(rest, into, -0.25)
        for (key, value), g in zip(into.items(), wanted, strict=True):
            torch.testing.assert_close(value, before[key] - 0.25 * g, rtol=1e-4, atol=1e-5)


def test_a_module_that_writes_to_its_input_gets_a_copy():
    def make():
        return nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6, 3))

    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    model = module.module_stack("own", make, x[:3], (6,), 3)
    params = model.init(torch.Generator().manual_seed(0), 2)
    plain = nn.functional.relu(x) @ params["2.weight"].transpose(1, 2) + params["2.bias"].unsqueeze(1)
    torch.testing.assert_close(model.logits(params, x), plain.permute(1, 2, 0))
    assert model.forward(params, x)[0].shape == model.scores(params, x, noise(params)).shape
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ["vit", "cnn"])
def test_scores_by_hand_are_forward_modes(name, data):
    model, params = stack(name, data)
    params, toward = ({k: v.double() for k, v in part.items()} for part in (params, noise(params)))
    x = model.prepare(data.x[:9]).double()
    wanted = jvp(lambda p: model.logits(p, x), (params,), (toward,))[1]
    torch.testing.assert_close(model.scores(params, x, toward), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_be_stepped_in_place(name, data):
    model, params = stack(name, data)
    x = model.prepare(data.x[:9])
    logits, pull = model.forward(params, x)
    rest = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    apart = {k: v.clone() for k, v in params.items()}
    model.pullback(params, x)(rest, apart, -0.1)
    pull(rest, params, -0.1)
    for key, value in apart.items():
        torch.testing.assert_close(params[key], value)


@pytest.mark.parametrize("name", NAMES)
def test_head_scores_are_those_of_the_last_layer_alone(name, data):
    model, params = stack(name, data)
    x, toward = model.prepare(data.x[:9]), noise(params)
    assert set(model.head) <= set(params)
    still = {k: v if k in model.head else torch.zeros_like(v) for k, v in toward.items()}
    torch.testing.assert_close(
        model.scores(params, x, head_only(toward, model.head)), model.scores(params, x, still)
    )


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_label_scores_and_vmap_batches_them(name, data):
    model, params = stack(name, data)
    x, toward = model.prepare(data.x[:9]), noise(params)

    def one(p, v):
        return label_scores(lambda q, z: model.logits(q, z).squeeze(2), p, x, v, chunk=4)

    def single(p):
        return {k: v.unsqueeze(model.replica_axis[k]) for k, v in p.items()}

    together = vmap(lambda p, v: one(single(p), single(v)), (model.replica_axis,) * 2, out_dims=2)
    if name in ("networks:convolutions", "vit-tiny", "cnn:3"):
        each = [
            one(*(single({k: v.select(0, j) for k, v in s.items()}) for s in (params, toward)))
            for j in range(3)
        ]
        got = torch.stack(each, 2)
    else:
        got = together(params, toward)
    torch.testing.assert_close(got, model.scores(params, x, toward), rtol=1e-4, atol=1e-5)


def test_both_ways_to_run_modules_agree():
    # on a GPU replicas run under vmap, on the CPU one by one
    net = VisionTransformer((1, 8, 8), 4, SIZES["vit-tiny"])
    params = {k: torch.stack([v.detach(), 1.1 * v.detach()]) for k, v in net.named_parameters()}
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    call = module.functional(net)
    apart, together = module.stacked(call)(params, x), vmap(call, (0, None), out_dims=2)(params, x)
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-5)


def test_start_is_pytorchs_own():
    data = images(4)
    model = models.build("mlp:50", data)
    start = model.init(generator(0, "init"), 2)
    for key, bound in (("hidden", 64**-0.5), ("weight", 50**-0.5), ("bias", 50**-0.5)):
        value = start[key]
        torch.testing.assert_close(value[0], value[1])
        assert value.abs().max() <= bound
        if value[0].numel() > 50:  # uniform on (-bound, bound)
            assert abs(float(value[0].std()) / (bound / 3**0.5) - 1) < 0.1
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model = models.build("vit-tiny", data)
    draw = generator(0, "init")
    start = model.init(draw, 1)
    assert torch.rand(1) == expected, "the global generator was moved"
    seed = int(torch.randint(2**62, (1,), generator=generator(0, "init")))
    torch.manual_seed(seed)
    net = VisionTransformer(data.shape, 4, SIZES["vit-tiny"])
    for key, value in net.named_parameters():
        torch.testing.assert_close(start[key][0], value.detach())


class Plain:
    """One network as PyTorch trains it, with the attack written out example by example."""

    def __init__(self, name, data, seed):
        self.model = models.build(name, data)
        start = self.model.init(generator(seed, "init"), 1)
        if name.startswith("mlp"):
            hidden = start["hidden"][0]
            self.net = nn.Sequential(
                nn.Flatten(), nn.Linear(data.d, len(hidden)), nn.ReLU(), nn.Linear(len(hidden), data.classes)
            )
            values = [hidden[:, :-1], hidden[:, -1], start["weight"][0], start["bias"][0, :, 0]]
        elif name == "cnn:3":
            self.net = nn.Sequential(
                *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.Linear(24, data.classes)),
            )
            values = [value[0] for value in start.values()]
        else:
            self.net = VisionTransformer(data.shape, data.classes, SIZES[name])
            values = [start[key][0] for key, _ in self.net.named_parameters()]
        with torch.no_grad():
            for p, value in zip(self.net.parameters(), values, strict=True):
                p.copy_(value)
        self.net.double()
        self.head = list(self.net.parameters())[-2:]

    def gradient(self, x, y, params=None):
        loss = nn.functional.cross_entropy(self.net(x), y)
        return torch.autograd.grad(loss, params or list(self.net.parameters()))

    def values(self, x, classes, toward, params):
        def value(i, c):
            g = self.gradient(x[i : i + 1], torch.tensor([c]), params)
            return -sum((a * b).sum() for a, b in zip(g, toward, strict=True))

        return torch.tensor([[value(i, c) for c in range(classes)] for i in range(len(x))])


def train_plainly(name, data, threat, seed, recipe):
    plain = Plain(name, data, seed)
    x, y = data.x.double().view(-1, *data.shape), data.y
    steps = Steps(plain.net.parameters(), recipe, -(-len(y) // recipe.batch_size))
    curve = []
    for epoch in range(recipe.epochs):
        labels = y.clone()
        own = torch.randperm(len(y), generator=generator(seed, "access", epoch))[: threat.writable(len(y))]
        if len(own):
            params = plain.head if threat.selection == "last_layer" else list(plain.net.parameters())
            toward = [-g for g in plain.gradient(x, y, params)]
            values = plain.values(x[own], data.classes, toward, params)
            gain, best = values.min(1)
            gain = gain - values[torch.arange(len(own)), y[own]]
            for i in gain.argsort()[: threat.flips(len(y))]:
                if gain[i] < 0:
                    labels[own[i]] = best[i]
        order = torch.randperm(len(y), generator=generator(seed, "batches", epoch))
        for rows in order.split(recipe.batch_size):
            nn.functional.cross_entropy(plain.net(x[rows]), labels[rows]).backward()
            steps.take()
        with torch.no_grad():
            z = plain.net(data.x_test.double().view(-1, *data.shape))
        curve.append(float(nn.functional.cross_entropy(z, data.y_test)))
    return np.array(curve)


@pytest.mark.parametrize("name", ["mlp:7", "cnn:3", "vit-tiny"])
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=3, batch_size=10, learning_rate=0.1, momentum=0.9, weight_decay=0.01),
        Recipe(epochs=3, batch_size=10, learning_rate=0.1, clip_norm=0.4, lr_schedule="cosine", warmup=1),
        Recipe(epochs=3, batch_size=10, learning_rate=0.003, optimizer="adam"),
    ],
)
def test_stacks_train_as_pytorch_does_one_by_one(name, recipe):
    data = images(3, n=36)
    threats = [Threat(0.5, 0.5), Threat(1.0, 0.2), Threat(0.7, 0.4, selection="last_layer")]
    for run in train(data, model=name, threats=threats, seeds=[1], recipe=recipe).runs:
        wanted = train_plainly(name, data, run.threat, 1, recipe)
        np.testing.assert_allclose(run.curve("test_loss"), wanted, rtol=2e-3, err_msg=str(run.threat))
        assert run.threat == CLEAN or run.curve("flips").min() > 0


def test_functional_call_keeps_frozen_parameters():
    data = images(4)
    model = models.build("networks:frozen", data)
    assert set(model.replica_axis) == {"head.weight", "head.bias"} == set(model.head)
    results = train(data, model="networks:frozen", threats=[Threat(0.5)], seeds=[0], recipe=Recipe(epochs=1))
    assert np.isfinite(results.runs[1].curve("test_loss")).all()


def test_stacks_of_large_modules_are_small(monkeypatch):
    data = images(4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.Sigmoid(), nn.Linear(100, 4))
    few = data.x[:3].view(-1, *data.shape)
    kept = module.held(net, few)
    assert 4 * 100 <= kept <= 4 * (64 + 2 * 100 + 4)  # what the layers read, and no weights
    build = lambda: module.module_stack("net", lambda: net, data.x[:3], data.shape, 4).tile  # noqa: E731
    assert build() == module.TILE
    monkeypatch.setattr(module, "HELD", 3 * kept * module.CHUNK)
    assert build() == 3
    monkeypatch.setattr(module, "HELD", 1)
    assert build() == 1


def test_module_logits_are_the_modules():
    net = nn.Linear(3, 2)
    x = torch.ones(4, 3)
    params = {k: v.detach().unsqueeze(0) for k, v in net.named_parameters()}
    got = module.stacked(module.functional(net))(params, x)[:, :, 0]
    torch.testing.assert_close(got, functional_call(net, {}, (x,)).detach())
