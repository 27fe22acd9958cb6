"""Every selection keeps the same contract; ``optimal`` is compared with all labelings there are."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat import TurncoatError
from turncoat.attack.selection import SELECTIONS, flip_labels, resolve
from turncoat.models.scores import centred, label_scores

NAMES = [*SELECTIONS, "all_to_one:1", "source_to_target:0:1"]
DRAWN = {"random", "cyclic", "mirror", "least_likely", "all_to_one:1", "source_to_target:0:1"}
quick = settings(max_examples=25, deadline=None)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def example(classes, n=30, seed=0):
    scores = torch.randn(n, classes, generator=draw(seed))
    return scores, torch.randint(classes, (n,), generator=draw(seed + 1))


@pytest.mark.parametrize("name", NAMES)
@quick
@given(st.integers(2, 5), st.integers(1, 12), st.integers(0, 15), st.integers(0, 99))
def test_contract(name, classes, n, flips, seed):
    scores, labels = example(classes, n, seed)
    before = scores.clone(), labels.clone()
    new = resolve(name)(scores, labels, flips, draw(seed))
    assert torch.equal(scores, before[0]) and torch.equal(labels, before[1])
    assert new.shape == labels.shape and new.dtype == labels.dtype
    assert new.data_ptr() != labels.data_ptr()
    assert int((new != labels).sum()) <= flips
    assert int(new.min()) >= 0 and int(new.max()) < classes
    assert torch.equal(new, resolve(name)(scores, labels, flips, draw(seed)))
    if flips == 0:
        assert torch.equal(new, labels)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DRAWN])
@pytest.mark.parametrize("classes", [2, 4])
def test_permuted_examples_get_permuted_flips(name, classes):
    scores, labels = example(classes)
    order = torch.randperm(len(labels), generator=draw(3))
    for flips in (0, 1, 7, 30):
        new = resolve(name)(scores, labels, flips, draw())
        assert torch.equal(resolve(name)(scores[order], labels[order], flips, draw()), new[order])


@pytest.mark.parametrize("name", ["random", "cyclic"])
def test_baselines_spend_all_they_have(name):
    scores, labels = example(5, n=200)
    new = resolve(name)(scores, labels, 50, draw())
    assert int((new != labels).sum()) == 50
    if name == "cyclic":
        changed = new != labels
        assert torch.equal(new[changed], (labels[changed] + 1) % 5)


def test_random_draws_examples_and_other_labels_evenly():
    labels = torch.zeros(6, dtype=torch.int64)
    counts = torch.zeros(6, 4)
    for seed in range(1500):
        new = resolve("random")(torch.zeros(6, 4), labels, 2, draw(seed))
        counts[torch.arange(6), new] += 1
    flipped = counts[:, 1:] / 1500  # each example with 1/3, each other label then with 1/3
    assert float((flipped - 1 / 9).abs().max()) < 4.5 * (1 / 9 * 8 / 9 / 1500) ** 0.5


@pytest.mark.parametrize("name", ["optimal", "last_layer"])
def test_an_example_with_nothing_to_gain_is_never_flipped(name):
    labels = torch.tensor([0, 1, 2])
    scores = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [3.0, 2.0, -1.0]])
    assert torch.equal(resolve(name)(scores, labels, 3, draw()), labels)


def network(classes):
    make = draw(7)
    params = {
        "inner": torch.randn(4, 3, generator=make, dtype=torch.float64),
        "outer": torch.randn(classes, 4, generator=make, dtype=torch.float64),
    }
    return params, lambda p, x: torch.tanh(x @ p["inner"].T) @ p["outer"].T


def regression(classes):
    make = draw(8)
    if classes == 2:
        params = {"w": torch.randn(1, 3, generator=make, dtype=torch.float64)}
        return params, lambda p, x: torch.cat([torch.zeros(len(x), 1).double(), x @ p["w"].T], 1)
    params = {"w": torch.randn(classes, 3, generator=make, dtype=torch.float64)}
    return params, lambda p, x: x @ p["w"].T


def objective(params, logits_fn, x, y, direction):
    """⟨-∇L, Δ⟩ with the gradient by autograd."""
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    loss = torch.nn.functional.cross_entropy(logits_fn(leaves, x), y)
    slopes = torch.autograd.grad(loss, list(leaves.values()))
    return -float(sum((g * direction[k]).sum() for g, k in zip(slopes, leaves, strict=True)))


@pytest.mark.parametrize("build", [regression, network])
@pytest.mark.parametrize(("classes", "n"), [(2, 7), (3, 5), (4, 4)])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
def test_optimal_attains_the_minimum_over_all_labelings(build, classes, n, goal):
    params, logits_fn = build(classes)
    x = torch.randn(n, 3, generator=draw(1), dtype=torch.float64)
    y = torch.randint(classes, (n,), generator=draw(2))
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    slopes = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits_fn(leaves, x), y), list(leaves.values())
    )
    if goal == "untargeted":
        direction = {k: -g for k, g in zip(leaves, slopes, strict=True)}
    else:
        make = draw(9)
        direction = {k: v - torch.randn(v.shape, generator=make, dtype=v.dtype) for k, v in params.items()}
    best = [np.inf] * (n + 1)
    for labeling in itertools.product(range(classes), repeat=n):
        new = torch.tensor(labeling)
        changed = int((new != y).sum())
        best[changed] = min(best[changed], objective(params, logits_fn, x, new, direction))
    scores = label_scores(logits_fn, params, x, direction)
    for rule in (SELECTIONS["optimal"], SELECTIONS["last_layer"]):
        for shown in (scores, centred(scores, logits_fn(params, x))):
            for flips in range(n + 1):
                new = rule(shown, y, flips, draw())
                reached = objective(params, logits_fn, x, new, direction)
                assert reached == pytest.approx(min(best[: flips + 1]), abs=1e-12)


def test_as_printed_is_not_optimal():
    scores = torch.tensor([[0.0, -1.0], [0.0, 5.0]])
    labels = torch.tensor([1, 1])

    def total(new):
        return float(scores[torch.arange(2), new].sum())

    assert total(SELECTIONS["as_printed"](scores, labels, 1, draw())) == 4
    assert total(SELECTIONS["optimal"](scores, labels, 1, draw())) == -1


@quick
@given(st.integers(1, 10), st.floats(0, 1), st.integers(0, 99))
def test_as_printed_follows_the_binary_algorithm(n, share, seed):
    rng = np.random.default_rng(seed)
    x, delta, y = rng.normal(size=(n, 3)), rng.normal(size=3), rng.integers(0, 2, n)
    s = [float(np.dot(delta, xi)) for xi in x]
    p, printed = int(share * n), y.copy()
    for i in np.argsort(s)[:p]:
        printed[i] = 1 if s[i] < 0 else 0
    scores = torch.tensor(np.stack([np.zeros(n), s], 1))
    new = SELECTIONS["as_printed"](scores, torch.tensor(y), p, draw())
    assert new.tolist() == printed.tolist()


@quick
@given(st.integers(1, 8), st.integers(3, 5), st.floats(0, 1), st.integers(0, 99))
def test_as_printed_follows_the_multi_class_algorithm(n, classes, share, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, 3)), rng.normal(size=(classes, 3))
    delta, y = rng.normal(size=(classes, 3)), rng.integers(0, classes, n)
    z = np.zeros((classes, n))
    for i in range(n):
        e = np.exp(w @ x[i])
        for c in range(classes):
            for j in range(classes):
                z[c, i] += ((c == j) - e[j] / e.sum()) * np.dot(x[i], delta[j])
    p, printed = int(share * n), y.copy()
    for i in np.argsort(z.min(0))[:p]:
        printed[i] = z[:, i].argmin()
    scores = centred(torch.tensor(x @ delta.T), torch.tensor(x @ w.T))
    np.testing.assert_allclose(scores.numpy(), z.T, atol=1e-12)
    new = SELECTIONS["as_printed"](scores, torch.tensor(y), p, draw())
    assert new.tolist() == printed.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_only_members_are_flipped(name):
    scores, labels = example(4)
    members = torch.randperm(30, generator=draw(5))[:9]
    new = flip_labels(name, scores, labels, members, 6, draw())
    changed = (new != labels).nonzero().flatten().tolist()
    assert len(changed) <= 6 and set(changed) <= set(members.tolist())
    assert torch.equal(flip_labels(name, scores, labels, members[:0], 6, draw()), labels)
    assert torch.equal(flip_labels(name, scores, labels, members, 0, draw()), labels)


def overspends(scores, labels, flips, generator):
    return (labels + 1) % scores.shape[1]


def wrong_shape(scores, labels, flips, generator):
    return labels[:-1]


def floats(scores, labels, flips, generator):
    return labels.float()


def booleans(scores, labels, flips, generator):
    return labels > 0


def no_tensor(scores, labels, flips, generator):
    return labels.tolist()


def nothing(scores, labels, flips, generator):
    return None


def too_high(scores, labels, flips, generator):
    new = labels.clone()
    new[0] = scores.shape[1]
    return new


def negative(scores, labels, flips, generator):
    new = labels.clone()
    new[0] = -1
    return new


def overspends_in_place(scores, labels, flips, generator):
    return labels.add_(1).remainder_(scores.shape[1])


BAD = {
    overspends: "changed",
    wrong_shape: "must return integer labels",
    floats: "must return integer labels",
    booleans: "must return integer labels",
    no_tensor: "returned list",
    nothing: "returned NoneType",
    too_high: "outside 0",
    negative: "outside 0",
    overspends_in_place: "changed",
}


@pytest.mark.parametrize("rule", BAD)
def test_a_bad_rule_is_told(rule):
    scores, labels = example(3)
    before = scores.clone(), labels.clone()
    with pytest.raises(TurncoatError, match=BAD[rule]) as told:
        flip_labels(rule, scores, labels, torch.arange(12), 2, draw())
    assert len(str(told.value).splitlines()) == 1
    assert torch.equal(scores, before[0]) and torch.equal(labels, before[1])


def test_a_rule_that_scribbles_on_its_inputs_harms_nobody():
    def scribbles(scores, labels, flips, generator):
        new = labels.clone()
        new[:flips] = (new[:flips] + 1) % 3
        scores.zero_()
        labels.zero_()
        return new

    scores, labels = example(3)
    before = scores.clone(), labels.clone()
    new = flip_labels(scribbles, scores, labels, torch.arange(12), 2, draw())
    assert int((new != labels).sum()) == 2
    assert torch.equal(scores, before[0]) and torch.equal(labels, before[1])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("all_to_one", "takes 1 class number"),
        ("all_to_one:x", "takes 1 class number"),
        ("all_to_one:1:2", "takes 1 class number"),
        ("all_to_one:9", "names class 9, but the data have classes 0 … 2"),
        ("source_to_target:1", "takes 2 class number"),
        ("source_to_target:1:1", "give two different classes"),
        ("source_to_target:0:7", "names class 7"),
        ("optimal:1", "did you mean 'optimal'"),
        ("no_such_rule", "unknown selection"),
        ("strongst", "did you mean 'strongest'"),
    ],
)
def test_a_bad_name_is_told(name, told):
    scores, labels = example(3)
    with pytest.raises(TurncoatError, match=told) as error:
        flip_labels(name, scores, labels, torch.arange(12), 2, draw())
    assert len(str(error.value).splitlines()) == 1
