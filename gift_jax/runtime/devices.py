"""The device that is used, in one line, and a warning where an accelerator is here that JAX cannot use."""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

_GOOGLE = "0x1ae0"
# PCI device numbers of Google's TPUs, as `jax._src.hardware_utils` has them; its network cards have others.
_TPUS = frozenset({"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"})
_PATIENCE = 10  # seconds that nvidia-smi may take


def announce() -> None:
    """Print `device: ...` (`describe`) and, to standard error, `unused_accelerator`'s warning; never raises."""
    with contextlib.suppress(Exception):  # what JAX cannot do is said by whoever needs it done
        print(f"device: {describe()}", flush=True)
        if warning := unused_accelerator():
            print(f"warning: {warning}", file=sys.stderr, flush=True)


# What JAX says where a variable of it forbids what this program does, and the beginnings of these variables' names.
_FORBIDDEN = {
    "Unknown backend": "JAX_DEFAULT_DEVICE",
    "Disallowed": "JAX_TRANSFER_GUARD",
    "KeyReuseError": "JAX_DEBUG_KEY_REUSE",
    "no_execution": "JAX_NO_EXECUTION",
    "no_tracing": "JAX_NO_TRACING",
}


def forbidden(error: Exception) -> str | None:
    """A sentence if there was an error because of a variable of JAX that is set; else None.

    By one, such as `JAX_PLATFORMS=cuda` without a GPU, JAX has no device; by others it refuses what this program does.
    """
    if (jax := sys.modules.get("jax")) is None:
        return None
    try:
        jax.devices()
    except Exception:
        name = next((name for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if os.environ.get(name)), "JAX_PLATFORMS")
        wanted = os.environ.get(name, getattr(jax.config, "jax_platforms", None))
        return f"JAX finds no device of {name}={wanted}; unset that variable, or give one that is here, such as cpu"
    text = f"{type(error).__name__}: {error}"
    begins = tuple(name for words, name in _FORBIDDEN.items() if words in text)
    found = next((name for name in os.environ if name.startswith(begins)), None)
    return found and f"JAX stops this program because of {found}={os.environ[found]}; unset that variable"


def describe() -> str:
    """The device in words: `1 x NVIDIA H100 80GB HBM3 (cuda)`, or `CPU x86_64, 2 cores` (of this process)."""
    import jax

    from gift_jax.runtime import provenance

    words, kind = provenance.device(), jax.local_devices()[0]
    if kind.platform != "cpu":
        return f"{words} ({getattr(kind.client, 'platform', kind.platform)})"
    return f"{words.removeprefix('1 x ')}, {cores()} core{'s' if cores() > 1 else ''}"


def cores() -> int:
    """Of the CPU, those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def unused_accelerator() -> str | None:
    """A sentence about a GPU or TPU that is here while JAX runs on the CPU, and what lets JAX use it; else None.

    None too where the user asked for the CPU (`JAX_PLATFORMS=cpu`) or hid the GPUs (`CUDA_VISIBLE_DEVICES=`).
    """
    import jax

    wanted = getattr(jax.config, "jax_platforms", None) or ""
    if jax.default_backend() != "cpu" or wanted.split(",")[0] == "cpu":
        return None
    extra = _cuda_extra() or ("tpu" if _has_tpu() else None)
    if not extra:
        return None
    name = "a TPU" if extra == "tpu" else "an NVIDIA GPU"
    if installed(extra):
        return (
            f"{name} is here, but JAX runs on the CPU although its {extra} build is installed; JAX's own messages say "
            f"why: look there, and whether another process holds the device"
        )
    return (
        f"{name} is here, but JAX runs on the CPU; `pip install 'gift-jax[{extra}]'`, or `make demo "
        f"ACCELERATOR={extra}` in a checkout, lets it use that"
    )


def _cuda_extra(root: Path = Path("/")) -> str | None:
    """The extra for the CUDA version of an NVIDIA GPU's driver; None if there is no GPU or it is hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return None
    printed = ""  # where nvidia-smi is missing, fails or hangs
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        options = {"capture_output": True, "text": True, "timeout": _PATIENCE, "check": True}
        printed = subprocess.run(["nvidia-smi"], **options).stdout
    version = re.search(r"CUDA[A-Za-z ]*Version: *(\d+)", printed)
    if not version and not (root / "dev" / "nvidia0").exists():
        return None
    # A driver that does not tell is of an unknown age: all that jax supports run CUDA 12.
    return "cuda13" if version and int(version[1]) >= 13 else "cuda12"


def _has_tpu(root: Path = Path("/")) -> bool:
    """Whether there is a TPU on the PCI bus, or by its device files."""
    for vendor in root.glob("sys/bus/pci/devices/*/vendor"):
        with contextlib.suppress(OSError):
            if vendor.read_text().strip() == _GOOGLE and vendor.with_name("device").read_text().strip() in _TPUS:
                return True
    # Only Google's machines have an accelerator's files there; the kernel's own are in /dev/accel/.
    return any(root.glob("dev/accel[0-9]*"))


def installed(extra: str) -> bool:
    """Whether what an extra, such as `cuda12` or `tpu`, adds to JAX is there."""
    return importlib.util.find_spec("libtpu" if extra == "tpu" else f"jax_{extra}_plugin") is not None
