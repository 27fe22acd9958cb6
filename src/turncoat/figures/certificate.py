"""What is guaranteed and what is reached, over the number of flips: the truth lies between the two."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from turncoat.certificates.certificate import Certificate
from turncoat.figures import captions, style


def certificate(
    found: Certificate,
    attacked: Mapping[int, float] | None,
    undefended: Mapping[int, float],
    captioned: bool = True,
) -> Figure:
    """Certified accuracy, accuracy of the attacked vote (None where none votes), and of an undefended model."""
    with style.applied():
        figure, top = style.canvas(style.ONE_COLUMN, 2.5, _caption(found, attacked), captioned)
        ax = top.subplots()
        flips = np.arange(int(found.radius.max()) + 2)
        certified = [found.accuracy_under(int(f)) for f in flips]
        ax.step(
            flips,
            certified,
            where="post",
            color=style.BLUE,
            label="certified: no flips do more",
            gid="certified",
        )
        if attacked is not None:
            ax.plot(
                list(attacked), list(attacked.values()), color=style.GREEN, marker="s", gid="attacked",
                label="the vote, attacked",
            )  # fmt: skip
        ax.plot(
            list(undefended), list(undefended.values()), color=style.ORANGE, marker="o", gid="undefended",
            label="one undefended model, attacked",
        )  # fmt: skip
        ax.set_xlabel("flips, fixed before training")
        ax.set_ylabel("test accuracy")
        ax.set_ylim(0, 1)
        top.legend(loc="outside lower center", ncols=1)
        figure.draw_without_rendering()
        return figure


def _caption(found: Certificate, attacked: Mapping[int, float] | None) -> str:
    voting = "" if found.partitions is None else f", {found.partitions} models vote"
    parts = [
        f"{found.dataset} ({found.scale}): {found.method}, {found.model} on features {found.features}{voting}",
        "No flips that are fixed before training push the vote below the certified line"
        if found.partitions
        else "No flips that are fixed before training push the smoothed classifier below the certified line",
    ]
    if attacked is not None:
        parts.append(
            "The attack on the vote places flips where votes are closest, and all models are trained anew"
        )
    parts.append(
        "Undefended: one model on all rows with features as given, under flips chosen once by scores summed over a"
        " surrogate's training"
    )
    return captions.sentences(parts)
