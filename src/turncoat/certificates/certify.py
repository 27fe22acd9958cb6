"""``certify``: how many flips, fixed before training, each prediction is sure to survive."""

from typing import Any

from turncoat import errors, models
from turncoat.certificates import features as kinds
from turncoat.certificates.certificate import Certificate
from turncoat.certificates.ensemble import Progress
from turncoat.certificates.smoothing import smoothed
from turncoat.certificates.voters import RULES, SPREAD, Voters, elect, voters
from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError, shown
from turncoat.recipe import Recipe

METHODS = (*RULES, "smoothing")
LINEAR = "least squares"  # what smoothing certifies, whatever votes elsewhere
ROWS = 3  # of a part for each class, unless the number of parts is given
NOISE = 0.3


@errors.known_arguments
def certify(
    dataset: Dataset,
    model: str = "logistic",
    method: str = "partitions",
    partitions: int | None = None,
    *,
    features: str | None = None,
    spread: int | None = None,
    noise: float | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Certificate:
    """Certify every test example's prediction against flips of training labels.

    ``partitions`` models vote (by default one for every 3 rows per class), each trained on the rows of one part; with
    ``finite_aggregation`` on ``spread`` smaller parts, and there are ``spread`` times as many. ``smoothing`` needs
    none of them: it certifies least squares under label ``noise``. ``features`` says what models see: the features as
    ``given``, or coordinates learned from all unlabelled training rows, ``anchors``; these are the default for images.

    Raises:
        TurncoatError: for an unknown name, a number out of range, more partitions than different rows, or an
            argument that would do nothing.
    """
    check(dataset, method, partitions, spread, noise, recipe, model)
    models.build(model, dataset)  # tells what is wrong with its name before anything is computed
    errors.told_of(progress, "models trained and in all")
    kind = kinds.usual(dataset, model) if features is None else features
    errors.choose(kind, kinds.FEATURES, "features")
    errors.whole(seed, "seed")
    about: dict[str, Any] = {
        "dataset": dataset.name,
        "scale": dataset.scale,
        "method": method,
        "features": kind,
    }
    if method == "smoothing":
        x, x_test = kinds.FEATURES[kind](dataset.x, dataset.x_test, seed)
        share = NOISE if noise is None else noise
        found = smoothed(x, dataset.y, x_test, dataset.classes, share, progress)
        return Certificate(**about, model=LINEAR, partitions=None, labels=dataset.y_test, **found._asdict())
    of = hold(dataset, model, method, partitions, kind, spread, recipe, seed)
    found = elect(of, dataset.y, progress)
    return Certificate(
        **about, model=model, partitions=len(of.readers), labels=dataset.y_test, **found._asdict()
    )


def hold(
    dataset: Dataset,
    model: str,
    method: str,
    partitions: int | None,
    kind: str,
    spread: int | None,
    recipe: Recipe | None,
    seed: int,
) -> Voters:
    """The voters that ``certify`` certifies, ready to be trained on any labels.

    Raises:
        TurncoatError: for more partitions than different rows, or a model that is not known.
    """
    if partitions is None:
        partitions = usual_partitions(dataset)
    readers = spread or SPREAD
    if method == "finite_aggregation" and partitions * readers > dataset.n:
        raise TurncoatError(
            f"finite_aggregation deals rows to {partitions} partitions times a spread of {readers} parts, but"
            f" {dataset.name} has only {dataset.n} training rows: give fewer partitions, or a smaller spread"
        )
    seen = kinds.FEATURES[kind](dataset.x, dataset.x_test, seed)
    as_seen = dataset if kind == "given" else kinds.reshaped(dataset, *seen)
    built = models.build(model, as_seen)
    return voters(built, method, dataset.x, seen, partitions, readers, recipe, seed)


def usual_partitions(dataset: Dataset) -> int:
    """As many that each has a few rows of every class."""
    return max(1, dataset.n // (ROWS * dataset.classes))


def check(
    dataset: object,
    method: object,
    partitions: object,
    spread: object,
    noise: object,
    recipe: object,
    model: object,
) -> None:
    """Refuse what ``certify`` can't do, and what would do nothing.

    Raises:
        TurncoatError: says what came and what is allowed.
    """
    if not isinstance(dataset, Dataset):
        raise TurncoatError(
            f"dataset is {shown(dataset)}, but must be a Dataset: load(name) gives one, from_arrays(x, y) your own"
        )
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TurncoatError(f"recipe is {shown(recipe)}, but must be a Recipe(...)")
    if isinstance(recipe, Recipe) and recipe.defence != "none":
        raise TurncoatError(
            f"the recipe's defence is {recipe.defence!r}, but models that vote are certified as they train plainly:"
            " leave defence out"
        )
    errors.choose(method, METHODS, "method")
    if partitions is not None and errors.whole(partitions, "partitions", 1) > dataset.n:
        raise TurncoatError(
            f"partitions is {partitions}, but {dataset.name} has only {dataset.n} training rows: give every part at"
            f" least one, so {dataset.n} partitions or fewer"
        )
    if spread is not None:
        errors.whole(spread, "spread", 1)
    idle = _idle(method, partitions=partitions, spread=spread, noise=noise, recipe=recipe)
    if method == "smoothing" and model != "logistic":
        idle = "model"
    if idle:
        raise TurncoatError(f"with method {method!r}, {idle} does nothing: leave {idle} out")
    if noise is not None:
        most = 1 - 1 / dataset.classes
        if not 0 < errors.real(noise, "noise") < most:
            raise TurncoatError(
                f"noise is {noise}, but must be above 0 and below {most:.3g}, where noisy labels still tell"
                " something, such as 0.3"
            )


def _idle(method: object, **given: object) -> str | None:
    """The name of a given argument that this method does not read."""
    reads = {
        "partitions": {"partitions", "recipe"},
        "run_off": {"partitions", "recipe"},
        "finite_aggregation": {"partitions", "spread", "recipe"},
        "smoothing": {"noise"},
    }[str(method)]
    return next((name for name, value in given.items() if value is not None and name not in reads), None)
