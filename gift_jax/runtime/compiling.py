"""`jax.jit` with the compiler options that the measurements in docs/performance.md chose for a platform."""

import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import jax

# XLA:CPU gives convolutions to YNNPACK by default, which is two to four times slower at them than Eigen; only
# reductions gain by it. An unnamed library keeps XLA's own kernels.
OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"cpu": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}}
)


Maker = TypeVar("Maker", bound=Callable[..., Any])


def cached_factory(make: Maker) -> Maker:
    """`functools.lru_cache` for makers of jitted functions: threads that ask at once get one, and it compiles once."""
    cached, lock = functools.lru_cache(make), threading.RLock()

    @functools.wraps(cached)
    def locked(*arguments: Any, **options: Any) -> Any:
        with lock:
            return cached(*arguments, **options)

    locked.cache_clear, locked.cache_info = cached.cache_clear, cached.cache_info  # type: ignore[attr-defined]
    return locked  # type: ignore[return-value]


_PLATFORM = contextvars.ContextVar("platform", default="")


def platform() -> str:
    """The platform that functions are traced for, such as `cpu`: JAX's own, or `tracing_for_platform`'s."""
    return _PLATFORM.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for_platform(name: str) -> Iterator[None]:
    """Trace what is made for another platform than JAX's own: `cpu`, `gpu`, `tpu`, or `any` for plain formulas alone.

    JAX remembers what it traced and does not know of this: a function is traced for one platform in a process.
    """
    token = _PLATFORM.set(name)
    try:
        yield
    finally:
        _PLATFORM.reset(token)


def jit(function: Callable[..., Any], **arguments: Any) -> Any:
    """`jax.jit` with `compiler_options`, of a function that is called from outside of other jitted ones."""
    return jax.jit(function, compiler_options=compiler_options(platform()), **arguments)


@functools.lru_cache
def compiler_options(platform: str) -> dict[str, str]:
    """Options of XLA for a platform such as `cpu`; none where this version of XLA does not know them."""
    options = dict(OPTIONS.get(platform, {}))
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        # The options are experimental and may go; training is then slower and otherwise the same.
        return {}
    return options
