"""The API reference, from the docstrings: `python docs/reference.py build/docs`; what pdoc warns about is an error."""

import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.extract

ROOT = Path(__file__).parents[1]
PACKAGES = ("gift_jax", "convert", "experiments")


def modules() -> list[str]:
    """Every module, once: pdoc finds those below a package by itself, unless the package has an `__all__`."""
    found, specs = set(), []
    for package in PACKAGES:
        below = pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
        for name in (package, *(module.name for module in below if not module.name.endswith("__main__"))):
            if name not in found:
                specs.append(name)
                found |= set(pdoc.extract.walk_specs([name]))
    return specs


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    warnings.filterwarnings("error", category=UserWarning)
    # optax's own recursive type, whose name pdoc cannot know in our modules.
    warnings.filterwarnings("ignore", "Error parsing type annotation .* Import of ArrayTree failed", UserWarning)
    pdoc.pdoc(*modules(), output_directory=Path(sys.argv[1]))
