"""What long experiments have in common: devices, and results that are not computed twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from gift_jax import GiftError
from gift_jax.runtime.sharding import Seeds, make_mesh
from gift_jax.studies.results import end_last_line, read_results
from gift_jax.training.train import choose_seeds


def spread_seeds(devices: int | None, seeds: int, batch_size: int) -> Seeds:
    """How seeds run on so many devices; without a number as `gift_jax.training.train.choose_seeds` has it."""
    if devices is None:
        return choose_seeds(seeds, batch_size)
    if not 1 <= devices <= jax.device_count():
        raise GiftError(f"--devices must be from 1 to {jax.device_count()}, which are there, not {devices}")
    return "loop" if devices == 1 else make_mesh(seeds, batch_size, jax.devices()[:devices])


def finished_rows(results: Path, names: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """Rows of results.jsonl of these very runs, by seed.

    Args:
        results: the file.
        names: fingerprints of the runs' identities by seed.
    """
    if not results.is_file():
        return {}
    end_last_line(results)
    known = {row["cell"]: row for row in read_results(results) if "cell" in row and "failed" not in row}
    return {seed: known[name] for seed, name in names.items() if name in known}
