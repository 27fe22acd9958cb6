"""Certificates against the thing itself: every labeling within the radius, and the learner trained anew on each."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

import turncoat
from clouds import blobs
from turncoat import Recipe, TurncoatError, certify
from turncoat.certificates import features, smoothing
from turncoat.certificates.certify import METHODS, hold
from turncoat.certificates.voters import elect

QUICK = Recipe(epochs=15, learning_rate=0.5, batch_size=50)
VOTES = [method for method in METHODS if method != "smoothing"]


def tiny(classes, n=9, d=2):
    return blobs(classes, n=n, m=12, d=d, spread=1.0, seed=5)


def labelings(y, classes, flips):
    """All labelings that differ from ``y`` in exactly so many places."""
    for places in itertools.combinations(range(len(y)), flips):
        for shifts in itertools.product(range(1, classes), repeat=flips):
            other = y.clone()
            other[list(places)] = (other[list(places)] + torch.tensor(shifts)) % classes
            if len(other.unique()) > 1:  # a data set has two classes at least
                yield other


def given(method, partitions, spread):
    own = {"spread": spread} if method == "finite_aggregation" else {}
    return {"method": method, "partitions": partitions, "recipe": QUICK, "features": "given"} | own


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", VOTES)
def test_no_labeling_within_the_radius_moves_a_prediction(method, classes):
    data = tiny(classes)
    partitions, spread = (4, 2) if method == "finite_aggregation" else (5, 1)
    found = certify(data, **given(method, partitions, spread))
    of = hold(data, "logistic", method, partitions, "given", spread, QUICK, 0)
    assert found.partitions == partitions * spread == len(of.groups)
    most = int(found.radius.max())
    assert most >= 1
    moved = set()
    for flips in range(1, min(most, 2) + 1):
        for labels in labelings(data.y, classes, flips):
            other = elect(of, labels).prediction  # trains every model anew
            held = found.radius >= flips
            assert torch.equal(other[held], found.prediction[held]), labels
            moved |= set((other != found.prediction).nonzero().flatten().tolist())
    assert moved, "no flips moved anything: the test could not fail"


def test_equal_rows_are_one_part_whatever_their_labels():
    data = tiny(3)
    x, y = data.x.repeat(2, 1), torch.cat([data.y, (data.y + 1) % 3])
    doubled = dataclasses.replace(data, x=x, y=y)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    shuffled = dataclasses.replace(data, x=x[order], y=y[order])
    own = given("partitions", 9, 1)
    first, second = certify(doubled, **own), certify(shuffled, **own)
    assert torch.equal(first.prediction, second.prediction) and torch.equal(first.radius, second.radius)
    with pytest.raises(TurncoatError, match="only 9 different rows among 18"):
        certify(doubled, partitions=10, features="given")


@pytest.mark.parametrize("method", VOTES)
def test_a_part_with_one_class_is_allowed(method):
    data = tiny(3)
    found = certify(data, **given(method, data.n, 1))
    assert found.partitions == data.n  # one row each, so one class each
    assert set(found.prediction.tolist()) <= {0, 1, 2} and int(found.radius.min()) >= 0


# --- smoothing ---


def exact(alpha, y, classes, noise):
    """Probability of every answer of the base classifier, over all noisy labelings."""
    noisy = torch.cartesian_prod(*[torch.arange(classes)] * len(y))
    kept = (noisy == y).sum(1)
    p = (1 - noise) ** kept.double() * (noise / (classes - 1)) ** (len(y) - kept).double()
    scores = torch.einsum("ti,lic->tlc", alpha, torch.nn.functional.one_hot(noisy, classes).double())
    answers = torch.nn.functional.one_hot(scores.argmax(2), classes).double()
    return torch.einsum("tlc,l->tc", answers, p)


@pytest.mark.parametrize(("classes", "n", "noise"), [(2, 11, 0.1), (2, 11, 0.05), (3, 8, 0.05)])
def test_smoothing_is_sound_for_every_labeling(classes, n, noise):
    data = blobs(classes, n=n, m=12, d=2, spread=0.3, seed=4)
    found = certify(data, method="smoothing", noise=noise, features="given")
    alpha = smoothing._with_bias(data.x_test) @ smoothing._weights_of_rows(data.x)
    log_doubt = smoothing.log_doubt(alpha, data.y, classes, noise)[1]
    truth = exact(alpha, data.y, classes, noise)
    sure = found.prediction >= 0
    assert sure.any()
    assert torch.equal(truth.argmax(1)[sure], found.prediction[sure])
    missed = 1 - truth.gather(1, found.prediction.clamp(min=0).unsqueeze(1)).squeeze(1)
    assert bool((missed[sure] <= log_doubt.exp()[sure] + 1e-12).all())
    assert (int(found.radius.max()) >= 1) == (classes == 2)
    for labels in labelings(data.y, classes, 1):
        held = sure & (found.radius >= 1)
        assert torch.equal(exact(alpha, labels, classes, noise).argmax(1)[held], found.prediction[held])


@pytest.mark.parametrize(("classes", "noise"), [(2, 0.1), (2, 0.35), (10, 0.3)])
def test_radii_are_those_of_the_worst_event(classes, noise):
    other, logs = noise / (classes - 1), -torch.linspace(0.1, 20, 200, dtype=torch.float64)
    found = smoothing.radii(logs, classes, noise, 10_000)
    for log_delta, radius in zip(logs.tolist()[::20], found.tolist()[::20], strict=True):
        if radius:
            assert after(radius, log_delta, noise, other) < 0.5 + 1e-9
        assert after(radius + 1, log_delta, noise, other) >= 0.5 - 1e-9
    # the paper's closed form, from the divergence of the two distributions, is never larger
    per_flip = (1 - noise - other) * math.log((1 - noise) / other)
    sure = logs < math.log(0.5)
    closed = (-(math.log(4) + logs + torch.log1p(-logs.exp())) / (2 * per_flip)).clamp(min=0)
    assert bool((found[sure] >= (closed[sure].ceil() - 1).clamp(min=0)).all())


def after(flips, log_delta, noise, other):
    """The most probability that an event of probability δ can have after so many flips, outcome by outcome."""
    before = {0: 1.0}
    for _ in range(flips):
        stepped: dict[int, float] = {}
        for w, p in before.items():
            for move, share in ((-1, 1 - noise), (0, noise - other), (1, other)):
                stepped[w + move] = stepped.get(w + move, 0.0) + p * share
        before = stepped
    left, total = math.exp(log_delta), 0.0
    for w in sorted(before, reverse=True):
        taken = min(left, before[w])
        total += taken * ((1 - noise) / other) ** w
        left -= taken
    return total


def test_scores_are_those_of_ridge_regression():
    from sklearn.linear_model import Ridge

    data = tiny(3, n=30)
    x = np.pad(data.x.numpy(), ((0, 0), (0, 1)), constant_values=1).astype(float)
    penalty = smoothing.RIDGE * float((x**2).sum(0).mean())
    ridge = Ridge(alpha=penalty, fit_intercept=False).fit(x, np.eye(3)[data.y.numpy()])
    alpha = smoothing._with_bias(data.x_test) @ smoothing._weights_of_rows(data.x)
    ours = alpha @ torch.nn.functional.one_hot(data.y, 3).double()
    theirs = ridge.predict(np.pad(data.x_test.numpy(), ((0, 0), (0, 1)), constant_values=1))
    torch.testing.assert_close(ours, torch.from_numpy(theirs))


# --- on real data, and what is refused ---


@pytest.fixture(scope="module")
def certified():
    return {method: certify(turncoat.load("digits"), method=method) for method in METHODS}


def test_certified_accuracy_falls_from_clean(certified):
    for method, found in certified.items():
        accuracies = list(found.certified_accuracy.values())
        assert accuracies == sorted(accuracies, reverse=True) and accuracies[0] == found.clean_accuracy
        assert found.clean_accuracy > 0.9 and found.certified_accuracy[3] > 0.7, method
        assert {0, 10, 100, 300} <= set(found.certified_accuracy)
        frame = found.to_pandas()
        right = frame["prediction"] == frame["labels"]
        assert found.accuracy_under(3) == (right & (frame["radius"] >= 3)).mean()


def test_unlabelled_rows_help_on_images(certified):
    plain = certify(turncoat.load("digits"), features="given")
    assert certified["partitions"].features == "anchors"
    assert certified["partitions"].accuracy_under(5) > plain.accuracy_under(5) + 0.05


def test_features_do_not_look_at_labels_or_test_rows():
    data = turncoat.load("digits")
    x, x_test = features.anchors(data.x, data.x_test, 0)
    again, some = features.anchors(data.x, data.x_test[:7], 0)
    assert torch.equal(x, again)
    torch.testing.assert_close(some, x_test[:7])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"method": "runoff"}, "unknown method 'runoff'; did you mean 'run_off'?"),
        ({"features": "anchor"}, "did you mean 'anchors'?"),
        ({"partitions": 10}, "only 9 training rows: give every part at least one, so 9 partitions or fewer"),
        ({"partitions": 0}, "must be a whole number, 1 or more"),
        ({"noise": 0.2}, "with method 'partitions', noise does nothing"),
        ({"spread": 2}, "with method 'partitions', spread does nothing"),
        ({"method": "finite_aggregation", "partitions": 4, "spread": 3}, "times a spread of 3 parts, but"),
        ({"method": "finite_aggregation", "spread": 0}, "spread is 0"),
        ({"method": "smoothing", "partitions": 3}, "partitions does nothing"),
        ({"method": "smoothing", "model": "mlp"}, "model does nothing"),
        ({"method": "smoothing", "noise": 0.7}, "below 0.667"),
        ({"method": "smoothing", "noise": 0.0}, "must be above 0"),
        ({"model": "mpl"}, "did you mean 'mlp'?"),
        ({"recipe": Recipe(patience=3)}, "leave patience out"),
    ],
)
def test_what_is_refused(asked, words):
    with pytest.raises(TurncoatError, match=words.replace("?", r"\?").replace("(", r"\(")):
        certify(tiny(3), **asked)


def test_flips_asked_of_a_certificate(certified):
    with pytest.raises(TurncoatError, match="flips is -1"):
        certified["partitions"].accuracy_under(-1)
