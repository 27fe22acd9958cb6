"""Named arrays as bytes and back, with nothing pickled."""

import io

import numpy as np

Arrays = dict[str, np.ndarray]


def pack(arrays: Arrays) -> bytes:
    """The arrays as an .npz archive, not compressed."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def unpack(data: bytes) -> Arrays:
    """What ``pack`` packed."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
