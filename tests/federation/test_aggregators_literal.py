"""Every rule against its paper's algorithm written out in NumPy."""

import literal_aggregators as literal
import pytest
import torch

from turncoat.federation.aggregators import (
    AGGREGATORS,
    PREAGGREGATORS,
    centered_clipping,
    lfighter,
    norm_clipping,
)

RULES = {**AGGREGATORS, **PREAGGREGATORS}
NAMES = sorted(RULES.keys() - {"lfighter"})


def draw(w, p, seed, hostile=0):
    generator = torch.Generator().manual_seed(seed)
    messages = torch.randn(w, p, generator=generator, dtype=torch.float64)
    messages[:hostile] = 3 + 2 * messages[:hostile]
    return messages


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("w", "p", "f"), [(11, 7, 2), (12, 30, 0), (14, 9, 2), (30, 5, 6), (33, 12, 7)])
@pytest.mark.parametrize("attacked", [False, True])
def test_equals_the_literal_algorithm(name, w, p, f, attacked):
    messages = draw(w, p, seed=w, hostile=f if attacked else 0)
    expected = torch.from_numpy(literal.RULES[name](messages.numpy(), f))
    torch.testing.assert_close(RULES[name](messages, f), expected, rtol=1e-5, atol=1e-6)
    single = RULES[name](messages.float(), f).double()
    torch.testing.assert_close(single, expected, rtol=1e-3, atol=1e-3)


def test_every_rule_has_a_literal_algorithm():
    assert literal.RULES.keys() | {"lfighter"} == RULES.keys()


def test_geometric_median_is_the_minimum():
    messages = draw(15, 6, seed=3, hostile=4)

    def cost(point):
        return (messages - point).norm(dim=1).sum()

    centre = AGGREGATORS["geometric_median"](messages, 4)
    point = centre.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(point), point)
    assert slope.norm() < 1e-4
    assert cost(centre) < min(cost(messages.mean(0)), cost(messages.median(0).values))


def test_centered_clipping_starts_where_it_is_told():
    messages, center = draw(9, 6, seed=1), draw(1, 6, seed=2)[0]
    x, v = messages.numpy(), center.numpy()
    for _ in range(2):
        v = v + sum(literal._clip(row - v, 0.5) for row in x) / len(x)
    out = centered_clipping(messages, 2, center=center, radius=0.5, iterations=2)
    torch.testing.assert_close(out, torch.from_numpy(v))
    rows = centered_clipping(messages[None], 2, center=center[None], radius=0.5, iterations=2)
    torch.testing.assert_close(rows[0], torch.from_numpy(v))


def test_norm_clipping_takes_a_threshold():
    messages = draw(9, 6, seed=1)
    expected = sum(literal._clip(row, 0.7) for row in messages.numpy()) / 9
    torch.testing.assert_close(norm_clipping(messages, 2, threshold=0.7), torch.from_numpy(expected))


@pytest.mark.parametrize("seed", range(6))
def test_lfighter_equals_the_literal_algorithm(seed):
    """Flippers move two rows against the others, as label flips do."""
    head = (5, 4, 6)
    messages = draw(10, 40, seed)
    rows = messages[:, 5:29].view(10, 4, 6)
    rows[:, 1:3] += 4 * draw(2, 6, seed + 50)
    rows[:3, 1:3] *= -1
    expected = torch.from_numpy(literal.lfighter(messages.numpy(), 3, head))
    out = lfighter(messages, 3, head=head)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(out, messages[3:].mean(0))
