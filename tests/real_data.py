"""Whether TURNCOAT_DATA has the official files of a data set; ``turncoat.data.status`` reads them all to say so."""

import os

from turncoat.data.catalogue import DATASETS
from turncoat.data.download import folder_of_data


def is_there(name: str) -> bool:
    collection = DATASETS[name].collection
    assert collection is not None
    folder = folder_of_data() / collection.folder
    return "TURNCOAT_DATA" in os.environ and all((folder / file).is_file() for file in collection.files)
