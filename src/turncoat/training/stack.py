"""What a stack trains on, from data, recipe and threats; and which threats train as one stack."""

import dataclasses
import functools

import torch

from turncoat import precision
from turncoat.attack.names import PLANNED, is_planned
from turncoat.data.dataset import Dataset
from turncoat.defence import NONE, access, chain, number
from turncoat.errors import TurncoatError
from turncoat.federation.crowd import enlist
from turncoat.federation.federation import POOLED, Federation
from turncoat.models import products
from turncoat.models.columns import Columns, narrow, narrowed
from turncoat.models.stack import Model
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import Threat
from turncoat.training.federated import Federated
from turncoat.training.guards import check_size, defended, guard_of
from turncoat.training.parted import PartedRun
from turncoat.training.pooled import Pooled
from turncoat.training.run import StackRun
from turncoat.training.task import Task, Way
from turncoat.voting import deal

GPU_CHUNKS = (
    8  # times as many examples in a pass over the data on a GPU, where a launch costs more than a cache miss
)
# why a defence has no use for a model that acts differently while it trains
ONE_MODE = {
    "gold": "weighs examples by gradients of their own, which they don't have in a batch",
    "confident": "trains models on parts of the rows in one mode",
}


@dataclasses.dataclass(frozen=True)
class Material:
    """A data set as a model eats it, on the device: shared by all stacks of a run."""

    model: Model
    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    holder: torch.Tensor | None = None  # (n,) which worker holds each training example, where the data say so

    columns: Columns | None = None  # of the whole features, where some that are never used are left out

    @functools.cached_property
    def narrowed(self) -> "Material":
        """The same without the features that are 0 in all examples, where these are many."""
        columns = narrow(self.model, self.x, self.x_test)
        if columns is None:
            return self
        x, x_test = (part.index_select(1, columns.used) for part in (self.x, self.x_test))
        return dataclasses.replace(self, model=narrowed(columns), x=x, x_test=x_test, columns=columns)

    @functools.cached_property
    def low(self) -> torch.Tensor:
        """The training features in bfloat16."""
        return self.x.bfloat16()


def material(model: Model, data: Dataset, device: str) -> Material:
    """Prepare the features once for all stacks.

    Raises:
        TurncoatError: if there is no such device here.
    """
    moved = data.to(device)
    if device.startswith("cuda") and model.recordable:
        model = dataclasses.replace(model, chunk=GPU_CHUNKS * model.chunk)
    x, x_test = model.prepare(moved.x), model.prepare(moved.x_test)
    return Material(model, x, moved.y, x_test, moved.y_test, data.holder)


Training = StackRun | PartedRun


def stack_run(
    data: Material,
    recipe: Recipe,
    seed: int,
    threats: tuple[Threat, ...],
    federation: Federation = POOLED,
) -> Training:
    """A run of these threats, one replica each, from one seed.

    Raises:
        TurncoatError: if the federation, or the recipe's defence or precision, does not fit the data, the model or the
            device.
    """
    refuse_training_mode(data.model, recipe, threats)
    if _fits_narrow(recipe, federation, threats):
        data = data.narrowed
    low = lowered(data, recipe, federation)
    held = recipe.held(len(data.y))
    if held:
        data, low = _shuffled(data, low, seed)
    x, y = data.x, data.y
    holder = None if data.holder is None else data.holder[held:]
    model = defended(data.model, recipe)
    task = Task(
        model=model,
        recipe=recipe,
        way=way_for(federation, model, y[held:], recipe, seed, holder),
        seed=seed,
        # of redundant labels an attacker writes to those of which it is the majority
        threats=tuple(
            dataclasses.replace(t, write_access=access(recipe.defence, t.write_access)) for t in threats
        ),
        x=x[held:],
        y=y[held:],
        x_test=data.x_test,
        y_test=data.y_test,
        x_held=x[:held],
        y_held=y[:held],
        low=None if low is None else low[held:],
        columns=data.columns,
    )
    models = number(chain(recipe.defence), "partitions")
    return _guarded(task, threats) if models is None else _parted(task, threats, int(models))


def _shuffled(data: Material, low: torch.Tensor | None, seed: int) -> tuple[Material, torch.Tensor | None]:
    """The rows in the order of which the first are held out."""
    order = torch.randperm(len(data.y), generator=generator(seed, "held out"))
    holder = None if data.holder is None else data.holder[order]
    order = order.to(data.y.device)
    mixed = dataclasses.replace(data, x=data.x[order], y=data.y[order], holder=holder)
    return mixed, None if low is None else low[order]


def _guarded(task: Task, threats: tuple[Threat, ...]) -> StackRun:
    guard = guard_of(task.model, task.recipe, task.x, task.y, task.seed)
    return StackRun(dataclasses.replace(task, guard=guard), threats)


def _parted(task: Task, threats: tuple[Threat, ...], models: int) -> PartedRun:
    check_size(chain(task.recipe.defence), len(task.y))
    parts = [
        _guarded(dataclasses.replace(task, x=task.x[rows], y=task.y[rows]), threats)
        for rows in deal(task.x.flatten(1), models)
    ]
    return PartedRun(task, threats, parts)


def _fits_narrow(recipe: Recipe, federation: Federation, threats: tuple[Threat, ...]) -> bool:
    """Whether nobody looks at the features or parameters as they lie: messages, guards, parts and plans do."""
    planned = any(threat.selection == PLANNED for threat in threats)
    return not federation.workers and recipe.defence == NONE and not planned


def refuse_training_mode(model: Model, recipe: Recipe, threats: tuple[Threat, ...]) -> None:
    """Accept a model with the rest, if it answers the same in training.

    Raises:
        TurncoatError: for what weighs examples by gradients of their own, or trains models beside it, of one that
            doesn't.
    """
    if model.in_training is None:
        return
    told = f"model {model.name!r} acts differently while it trains, by {model.in_training.parts}, and"
    for part in chain(recipe.defence):
        if part.name in ONE_MODE:
            raise TurncoatError(f"{told} defence {part.name!r} {ONE_MODE[part.name]}: leave {part.name} out")
    for threat in threats:
        if threat.knowledge == "surrogate":
            raise TurncoatError(
                f"{told} a surrogate has not the rows for it: set knowledge to 'omniscient' or 'local'"
            )
        if is_planned(threat.selection):
            raise TurncoatError(
                f"{told} a plan goes back through steps in one mode: set selection to 'optimal', or name the"
                " selections in the place of 'strongest'"
            )


def lowered(data: Material, recipe: Recipe, federation: Federation) -> torch.Tensor | None:
    """The features in bfloat16, where a step takes its products in these numbers.

    Raises:
        TurncoatError: if this model, learner or device has no such products.
    """
    if recipe.precision == precision.FLOAT32:
        return None
    precision.refuse(recipe.precision, recipe.defence != NONE, bool(federation.workers), data.model.name)
    products.refuse(recipe.precision, data.x.device)
    return data.low


def way_for(
    federation: Federation,
    model: Model,
    y: torch.Tensor,
    recipe: Recipe,
    seed: int,
    holder: torch.Tensor | None = None,
) -> Way:
    """How these labels' examples are trained on: pooled, or dealt out to a federation's workers."""
    if not federation.workers:
        return Pooled()
    return Federated(enlist(federation, model, y, seed, recipe.batch_size, recipe.epochs, holder))


def tiles(threats: tuple[Threat, ...], size: int) -> list[tuple[Threat, ...]]:
    """Stacks of at most ``size`` replicas whose attackers decide at the same time; clean runs come first.

    Within a stack write access falls, so that the replicas that own an example are a prefix of it.
    """
    clean = [t for t in threats if t.is_clean]
    kinds: dict[tuple[str, bool], list[Threat]] = {}
    for threat in threats:
        if not threat.is_clean:
            kinds.setdefault((threat.schedule, threat.knowledge == "surrogate"), []).append(threat)
    parts = []
    for alike in kinds.values():
        alike.sort(key=lambda t: (str(t.selection), t.goal, -t.write_access, -t.local_budget))
        alike = clean + alike
        clean = []
        count = -(-len(alike) // size)
        even = -(-len(alike) // count)
        parts += [tuple(alike[i : i + even]) for i in range(0, len(alike), even)]
    return parts or [tuple(clean)]
