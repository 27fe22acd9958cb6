"""What a row was computed with: versions and the kind of machine, never its name."""

import os
import platform
from pathlib import Path

import numpy as np
import torch

import turncoat


def environment(device: str) -> dict[str, str | int]:
    """Versions, processor, threads and device."""
    record: dict[str, str | int] = {
        "turncoat": turncoat.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "device": device,
    }
    if device.startswith("cuda") and torch.cuda.is_available():
        record["gpu"] = torch.cuda.get_device_name(device)
    return record


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
