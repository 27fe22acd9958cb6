"""What a server makes of its workers' messages: robust aggregators, pre-aggregators, and chains of them.

Every rule is called as ``rule(messages, f)`` with messages (r, w, p), or (w, p) for one replica, and the
number ``f`` of workers that may be hostile. Rules are pure and keep dtype and device.

Broken messages. A server cannot average a NaN, so every rule with ``f > 0`` stays finite while at most ``f``
workers send NaN or infinities: rules that work coordinate by coordinate rank a NaN as the largest value;
rules that measure distances or norms put the whole message farther away than any other and give it the
weight 0 (a message whose squared norm overflows its dtype, above 1.8e19 in float32, is read the same way);
``mean`` leaves it out; pre-aggregators pass it on as NaN, so that the rule behind them sees it too.
"""

from turncoat.federation.aggregators.averages import mean
from turncoat.federation.aggregators.chain import AGGREGATORS, PREAGGREGATORS, aggregator
from turncoat.federation.aggregators.clipping import arc, centered_clipping, norm_clipping
from turncoat.federation.aggregators.contract import Aggregator
from turncoat.federation.aggregators.coordinates import mean_around_median, median, trimmed_mean
from turncoat.federation.aggregators.filtering import caf
from turncoat.federation.aggregators.geometric import geometric_median
from turncoat.federation.aggregators.krum import bulyan, krum, multi_krum
from turncoat.federation.aggregators.lfighter import lfighter
from turncoat.federation.aggregators.mixing import bucketing, nnm

__all__ = [
    "AGGREGATORS",
    "PREAGGREGATORS",
    "Aggregator",
    "aggregator",
    "arc",
    "bucketing",
    "bulyan",
    "caf",
    "centered_clipping",
    "geometric_median",
    "krum",
    "lfighter",
    "mean",
    "mean_around_median",
    "median",
    "multi_krum",
    "nnm",
    "norm_clipping",
    "trimmed_mean",
]
