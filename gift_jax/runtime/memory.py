"""Memory for the large arrays of a training on the CPU: in huge pages, and kept from step to step.

XLA:CPU takes memory for every step anew. In pages of 4 KiB finding one takes longer than reading it, and glibc gives
large arrays back to the system, which must clear each page again. glibc can ask for pages of 2 MiB and keep what was
freed, in one arena, but only if a process starts so. Reference: the GNU C Library's manual, "Memory Allocation
Tunables"; Linux, "Transparent Hugepage Support".
"""

import contextlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_MALLOC = {"hugetlb": 1, "arena_max": 1, "mmap_threshold": 2**32, "trim_threshold": 2**34}  # thresholds in bytes
TUNABLES = {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in _MALLOC.items())}
OPTION = "GIFT_JAX_HUGE_PAGES"  # 0 leaves memory as it is


def start_with_huge_pages(package: str) -> None:
    """Start this process again with huge pages and memory that it keeps, if it is a command of the package on glibc.

    To be called before anything is loaded; what the user says of glibc's tunables holds. Returns if nothing is to be
    done. Args: package, whose modules are commands by `python -m`; or the name of a script, or of a module run as one.
    """
    if _is_command(package, sys.orig_argv, sys.argv[0]) and _available(os.environ):
        os.environ.update(TUNABLES)
        with contextlib.suppress(OSError):  # such as a sandbox without exec: slower, and otherwise the same
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def command_module(package: str) -> str | None:
    """The module of a package that `python -m` is about to run, while the packages above it are imported."""
    module = _module(sys.orig_argv) if sys.argv[0] == "-m" else ""
    return module if module.startswith(f"{package}.") else None


def _is_command(package: str, arguments: list[str], program: str) -> bool:
    """Whether Python was started for it; program is `-m` while the packages above a module are imported."""
    if program == "-m":
        return f"{_module(arguments)}.".startswith(f"{package}.")
    return Path(program).name == package or _module(arguments) == package.replace("-", "_")


def _module(arguments: list[str]) -> str:
    """What stands behind -m, if anything does."""
    return arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""


def _available(environment: Mapping[str, str]) -> bool:
    glibc = platform.libc_ver()[0] == "glibc"
    return glibc and environment.get(OPTION) != "0" and not set(TUNABLES) & set(environment)
