"""The contract: what holds for every aggregator, pre-aggregator and chain alike."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat.errors import TurncoatError
from turncoat.federation import AGGREGATORS, PREAGGREGATORS, aggregator
from turncoat.federation.aggregators.geometric import geometric_median

W, F, P_ = 15, 3, 40
HEAD = (0, 4, 10)
CHAINS = ["nnm+trimmed_mean", "arc+nnm+krum", "bucketing+median", "nnm+lfighter", "arc+mean"]
RULES = {
    name: functools.partial(rule, head=HEAD) if name == "lfighter" else rule
    for name, rule in AGGREGATORS.items()
} | {name: aggregator(name, head=HEAD) for name in CHAINS}
ROBUST = sorted(RULES.keys() - {"mean"})
every = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
every_with_pre = pytest.mark.parametrize(
    "rule", [*RULES.values(), *PREAGGREGATORS.values()], ids=[*RULES, *PREAGGREGATORS]
)


def draw(*shape, seed=0, dtype=torch.float64):
    """Messages like gradients: one common direction and each worker's own noise."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(shape[-1], generator=generator, dtype=torch.float64)
    return (common + 0.3 * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_inputs_give_that_input(rule, dtype):
    message = draw(P_, dtype=dtype)
    out = rule(message.expand(2, W, P_).contiguous(), F)
    torch.testing.assert_close(out, message.expand(2, P_))


@every_with_pre
def test_replicas_equal_one_by_one(rule):
    messages = draw(4, W, P_)
    together = rule(messages, F)
    for replica, one in zip(messages, together, strict=True):
        torch.testing.assert_close(rule(replica, F), one)


@every_with_pre
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept_and_nothing_mutated(rule, dtype):
    messages = draw(2, W, P_, dtype=dtype)
    before = messages.clone()
    out = rule(messages, F)
    assert out.dtype == dtype
    assert out.isfinite().all()
    assert torch.equal(messages, before)


@every
def test_float64_is_computed_in_float64(rule):
    """An offset that float32 cannot hold beside the noise is carried exactly."""
    messages = 1 + 1e-9 * draw(W, P_)
    inside = (messages.amin(0) - 1e-12 <= rule(messages, F)) & (rule(messages, F) <= messages.amax(0) + 1e-12)
    shortens = (RULES["arc+mean"], RULES["norm_clipping"])
    assert inside.all() or rule in shortens
    assert not torch.equal(rule(messages, F), rule(messages.float(), F).double())


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"bucketing+median"}))
def test_order_of_workers_does_not_matter(name):
    messages = draw(2, W, P_)
    order = torch.randperm(W, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(RULES[name](messages[:, order], F), RULES[name](messages, F))


@pytest.mark.parametrize(
    "name", sorted(RULES.keys() - {"norm_clipping", "arc+mean", "arc+nnm+krum", "lfighter", "nnm+lfighter"})
)
def test_moving_all_messages_moves_the_result(name):
    messages, shift = draw(2, W, P_), 100 * draw(P_, seed=5)
    torch.testing.assert_close(RULES[name](messages + shift, F), RULES[name](messages, F) + shift)


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"lfighter", "nnm+lfighter"}))
def test_scaling_all_messages_scales_the_result(name):
    messages = draw(2, W, P_)
    torch.testing.assert_close(RULES[name](8 * messages, F), 8 * RULES[name](messages, F))


def spoil(messages, value, workers=F):
    """The first ``workers`` of them send ``value``."""
    spoilt = messages.clone()
    spoilt[..., :workers, :] = value
    return spoilt


@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize("size", [1e3, 1e6, 1e12, 1e18, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_f_huge_outliers_do_not_carry_the_result_away(name, size, dtype):
    messages = draw(2, W, P_, dtype=dtype)
    outliers = size * (1 + 0.1 * torch.arange(F, dtype=dtype)[:, None])
    out = RULES[name](spoil(messages, outliers), F)
    honest = messages[:, F:]
    spread = (honest - honest.mean(1, keepdim=True)).norm(dim=-1).max()
    bound = 10 * (honest.norm(dim=-1).max() if "clipping" in name or "arc" in name else spread)
    assert (out - honest.mean(1)).norm(dim=-1).max() < bound


def test_one_outlier_carries_the_mean_away():
    assert RULES["mean"](spoil(draw(W, P_), 1e12, workers=1), F).abs().min() > 1e10


@every
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("workers", [1, F])
@pytest.mark.parametrize("where", ["all", "one coordinate", "one replica"])
def test_finite_when_up_to_f_workers_send_no_numbers(rule, value, workers, where):
    messages = draw(3, W, P_)
    spoilt = spoil(messages, value, workers)
    if where == "one coordinate":
        spoilt[..., 1:] = messages[..., 1:]
    if where == "one replica":
        spoilt[1:] = messages[1:]
    out = rule(spoilt, F)
    assert out.isfinite().all()
    assert (out - messages.mean(1)).norm(dim=-1).max() < messages.norm(dim=-1).max()
    if where == "one replica":
        torch.testing.assert_close(out[1:], rule(messages, F)[1:])


@pytest.mark.parametrize("w", [15, 30])
@pytest.mark.parametrize("name", sorted(AGGREGATORS.keys() - {"lfighter", "bulyan", "krum", "multi_krum"}))
def test_finite_at_the_largest_f(name, w):
    messages = draw(w, P_)
    f = (w - 1) // 2
    messages[:f] = torch.nan
    messages[f // 2, 1] = -torch.inf
    assert AGGREGATORS[name](messages, f).isfinite().all()


@every
@pytest.mark.parametrize("f", [0, 1])
def test_no_hostile_worker_is_fine_too(rule, f):
    assert rule(draw(2, W, P_), f).isfinite().all()


@every_with_pre
def test_a_gradient_passes_and_changes_nothing(rule):
    messages = draw(2, W, P_)
    tracked = messages.clone().requires_grad_()
    out = rule(tracked, F)
    torch.testing.assert_close(out.detach(), rule(messages, F))
    out.sum().backward()
    assert tracked.grad.isfinite().all()
    assert tracked.grad.abs().sum() > 0


def test_a_shared_offset_does_not_blur_distances():
    """Two groups 1 apart, both 10,000 from the origin: in float32 the raw Gram matrix cannot tell them apart."""
    messages = 1e4 + 1e-2 * draw(W, P_, dtype=torch.float32)
    messages[:F] += 0.1
    exact = AGGREGATORS["krum"](messages.double(), F)
    assert torch.equal(AGGREGATORS["krum"](messages, F).double(), exact)


@pytest.mark.parametrize(
    ("name", "w", "f", "law", "most"),
    [
        ("mean", 4, 4, "f < w", 3),
        ("median", 10, 5, "2f < w", 4),
        ("trimmed_mean", 10, 5, "2f < w", 4),
        ("mean_around_median", 10, 7, "2f < w", 4),
        ("geometric_median", 10, 5, "2f < w", 4),
        ("krum", 10, 4, "2f + 2 < w", 3),
        ("multi_krum", 10, 4, "2f + 2 < w", 3),
        ("bulyan", 18, 4, "4f + 2 < w", 3),
        ("centered_clipping", 10, 5, "2f < w", 4),
        ("norm_clipping", 10, 5, "2f < w", 4),
        ("caf", 10, 5, "2f < w", 4),
        ("lfighter", 10, 5, "2f < w", 4),
        ("nnm", 10, 5, "2f < w", 4),
        ("bucketing", 10, 5, "2f < w", 4),
        ("arc", 10, 5, "2f < w", 4),
    ],
)
def test_too_many_hostile_workers_is_one_line_with_the_rule(name, w, f, law, most):
    rule = functools.partial(AGGREGATORS[name], head=HEAD) if name == "lfighter" else None
    rule = rule or {**AGGREGATORS, **PREAGGREGATORS}[name]
    with pytest.raises(TurncoatError) as caught:
        rule(draw(w, P_), f)
    assert "\n" not in str(caught.value)
    for part in (name, law, f"f is {f} of w = {w}", f"use f <= {most}"):
        assert part in str(caught.value)
    assert rule(draw(w, P_), most).isfinite().all()


@pytest.mark.parametrize("f", [-1, True])
def test_f_must_be_a_whole_number(f):
    with pytest.raises(TurncoatError, match="whole number"):
        AGGREGATORS["median"](draw(W, P_), f)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(
        ["median", "trimmed_mean", "mean_around_median", "krum", "multi_krum", "bulyan", "caf"]
    ),
    w=st.integers(3, 31),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_result_lies_within_the_honest_range(name, w, share, seed):
    """With f messages far off on one side, each coordinate stays between the honest extremes."""
    most = {"krum": (w - 3) // 2, "multi_krum": (w - 3) // 2, "bulyan": (w - 3) // 4}.get(name, (w - 1) // 2)
    f = round(share * most)
    messages = draw(w, 6, seed=seed)
    messages[:f] += 1e6
    out = AGGREGATORS[name](messages, f)
    assert (out >= messages[f:].amin(0) - 1e-9).all()
    assert (out <= messages[f:].amax(0) + 1e-9).all()


@pytest.mark.parametrize(("r", "w", "p"), [(2, 7, 5), (1, 4, 20)])
def test_gradient_of_the_geometric_median_by_finite_differences(r, w, p):
    draw = torch.Generator().manual_seed(w)
    messages, toward, way = (torch.randn(r, n, p, dtype=torch.float64, generator=draw) for n in (w, 1, w))
    leaf = messages.clone().requires_grad_()
    point = geometric_median(leaf, 1, iterations=5000)
    torch.testing.assert_close(point.detach(), geometric_median(messages, 1, iterations=5000))
    (slope,) = torch.autograd.grad(point, leaf, toward[:, 0])
    ends = [geometric_median(messages + sign * 1e-5 * way, 1, iterations=5000) for sign in (1, -1)]
    assert float((slope * way).sum()) == pytest.approx(
        float(((ends[0] - ends[1]) * toward[:, 0]).sum()) / 2e-5, rel=1e-4
    )


def test_a_broken_message_has_no_part_in_the_geometric_medians_gradient():
    messages = torch.randn(1, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    messages[0, 2] = torch.nan
    leaf = messages.clone().requires_grad_()
    (slope,) = torch.autograd.grad(geometric_median(leaf, 1).sum(), leaf)
    assert torch.equal(slope[0, 2], torch.zeros(3, dtype=torch.float64))
    assert bool(slope[0, [0, 1, 3, 4]].isfinite().all())
