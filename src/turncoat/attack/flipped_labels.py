"""A dataset with the labels that ``worst_flips`` chose, for one's own ``DataLoader``."""

from torch import Tensor
from torch.utils.data import Dataset

from turncoat.attack.worst_flips import Flips
from turncoat.errors import TurncoatError


class FlippedLabels(Dataset):
    """A dataset of (input, label, ...) items with the labels that ``worst_flips`` chose.

    Raises:
        TurncoatError: if the lengths differ, or (when an item is read) an item is no (input, label) pair or its
            own label shows that the flips were chosen for another order of the examples.
    """

    def __init__(self, dataset: Dataset, flips: Flips) -> None:
        size = len(dataset)  # type: ignore[arg-type]
        if size != len(flips.labels):
            raise TurncoatError(f"the dataset has {size} examples, but the flips are for {len(flips.labels)}")
        self.dataset = dataset
        self.labels: list[int] = flips.labels.tolist()
        self.changed: frozenset[int] = frozenset(flips.indices.tolist())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple:
        """The item with its chosen label, of the same type as its own."""
        if index < 0:
            index += len(self)
        item = self.dataset[index]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise TurncoatError(
                f"item {index} of the dataset is {type(item).__name__}, but must be (input, label)"
            )
        x, own, *rest = item
        label = self.labels[index]
        if index not in self.changed and int(own) != label:
            raise TurncoatError(
                f"item {index} has label {int(own)}, but the flips were chosen where it had {label}: score the"
                " examples in the dataset's order"
            )
        return x, own.new_tensor(label) if isinstance(own, Tensor) else label, *rest
