"""What ran and on what: versions of the packages that decide the numbers, and the device in words."""

import importlib.metadata
import platform

import jax

PACKAGES = ("gift-jax", "jax", "flax", "optax", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def device() -> str:
    """The accelerator in words, such as `8 x TPU v4`; for the CPU its architecture."""
    devices = jax.local_devices()
    kind = devices[0].device_kind if devices[0].platform != "cpu" else f"CPU {platform.machine()}"
    return f"{len(devices)} x {kind}"
