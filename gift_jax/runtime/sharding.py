"""Several devices and hosts: a mesh of (seed, data), over which the same step is compiled.

Seeds are independent and go side by side first; batches are split where devices are left over. BatchNorm's means
are then over the whole batch, on however many devices it is.
"""

import contextlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gift_jax.errors import GiftError, short_reason
from gift_jax.runtime.compiling import jit

Seeds: TypeAlias = Literal["loop", "vmap"] | Mesh
"""How seeds run: a single one, several by `vmap` on one device, or one a row of a mesh of devices."""

SEED, DATA = "seed", "data"
HEARTBEAT = 20  # seconds without a sign of life after which a host counts as gone


def make_mesh(num_seeds: int, batch_size: int, devices: Sequence[Any] | None = None) -> Mesh:
    """The mesh of `choose_devices`, by default of all devices of all hosts."""
    chosen = choose_devices(num_seeds, batch_size, devices or jax.devices())
    return Mesh(chosen, (SEED, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


def choose_devices(num_seeds: int, batch_size: int, devices: Sequence[Any]) -> np.ndarray:
    """Lay out devices for the fewest rounds of seeds, and of those layouts the one with most devices a batch.

    Every host takes part, with as many devices as the others; a batch is split evenly. Returns: [seed, data].
    Raises: GiftError if hosts cannot be given even shares.
    """
    by_host: dict[int, list[Any]] = defaultdict(list)
    for device in sorted(devices, key=lambda device: (device.process_index, device.id)):
        by_host[device.process_index].append(device)
    each = min(map(len, by_host.values()))
    shapes = [
        (seeds, share)
        for seeds in range(1, num_seeds + 1)
        for share in range(1, each * len(by_host) // seeds + 1)
        if batch_size % share == 0 and seeds * share % len(by_host) == 0
    ]
    if not shapes:
        raise GiftError(
            f"{num_seeds} seeds of batches of {batch_size} images cannot be spread evenly over {len(by_host)} hosts; "
            "change the batch size, the number of seeds or that of hosts"
        )
    seeds, share = min(shapes, key=lambda shape: (math.ceil(num_seeds / shape[0]), -shape[1], shape[0]))
    used = seeds * share // len(by_host)
    chosen = np.empty(seeds * share, object)
    chosen[:] = [device for own in by_host.values() for device in own[:used]]
    return chosen.reshape(seeds, share)


def over_seeds(function: Callable[..., Any], seeds: Seeds, mapped: Sequence[bool]) -> Callable[..., Any]:
    """Have a function of one seed take several: of the arguments that are mapped, one a row of a leading axis."""
    if seeds == "loop":
        return function
    if seeds == "vmap":
        return jax.vmap(function, in_axes=tuple(0 if each else None for each in mapped))

    def of_one_row(*arguments: Any) -> Any:
        single = (jax.tree.map(lambda a: a[0], x) if each else x for x, each in zip(arguments, mapped, strict=True))
        return jax.tree.map(lambda result: result[None], function(*single))

    specs = tuple(PartitionSpec(SEED) if each else PartitionSpec() for each in mapped)
    # Only the axis of seeds is split by hand; along the other one the compiler splits the batch.
    return jax.shard_map(
        of_one_row, mesh=seeds, in_specs=specs, out_specs=PartitionSpec(SEED), axis_names={SEED}, check_vma=False
    )


def split_batch(step: Callable[..., Any], seeds: Seeds) -> Callable[..., Any]:
    """Have a step `(state, data, chosen [B, ...], key)` compute each device's share of the batch there."""
    if not isinstance(seeds, Mesh):
        return step
    share = seeds.shape[DATA]

    def split(leaf: jax.Array) -> jax.Array:
        # A remainder that cannot be split evenly is computed as a whole everywhere.
        even = leaf.ndim > 0 and leaf.shape[0] % share == 0
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(DATA)) if even else leaf

    def constrained(state: Any, data: Any, chosen: Any, key: jax.Array) -> Any:
        return step(state, data, jax.tree.map(split, chosen), key)

    return constrained


def jit_over(function: Callable[..., Any], seeds: Seeds) -> Callable[..., Any]:
    """Jit `(state, ...) -> (state, metrics)`, the old state donated; metrics are on every device of a mesh."""
    if not isinstance(seeds, Mesh):
        return jit(function, donate_argnums=0)
    shardings = (NamedSharding(seeds, PartitionSpec(SEED)), NamedSharding(seeds, PartitionSpec()))
    return jit(function, donate_argnums=0, out_shardings=shardings)


def place_on_mesh(tree: Any, mesh: Mesh, *axes: str | tuple[str, ...]) -> Any:
    """Place arrays that every host holds on a mesh, the first dimensions split along axes; none: a copy everywhere.

    A host reads only its own parts, so that arrays may be mapped from a file.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*axes))

    def place(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        host = leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)


def put_shares(read: Callable[[slice], np.ndarray], shape: tuple[int, ...], mesh: Mesh) -> jax.Array:
    """An array whose rows are spread over all devices, each host reading its own by `read(rows)`."""
    sharding = NamedSharding(mesh, PartitionSpec((SEED, DATA)))

    def read_share(index: Any) -> np.ndarray:
        return read(slice(*index[0].indices(shape[0])))

    return jax.make_array_from_callback(shape, sharding, read_share)


def select_seed(tree: Any, row: int, seeds: Seeds) -> Any:
    """One seed's arrays: on a mesh a copy everywhere."""
    if seeds == "loop":
        return tree
    if seeds == "vmap":
        return jax.tree.map(lambda leaf: leaf[row], tree)
    everywhere = NamedSharding(seeds, PartitionSpec())
    select = jax.jit(lambda rows, index: jax.tree.map(lambda leaf: leaf[index], rows), out_shardings=everywhere)
    return select(tree, row)


def join_hosts() -> None:
    """Join the other processes of this job.

    Those of SLURM, or of `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`. Raises: GiftError if
    there are none, or if they cannot be reached.
    """
    names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    try:
        explicit: Any = {option: int(os.environ[name]) for option, name in names.items() if name in os.environ}
        jax.distributed.initialize(**explicit, heartbeat_timeout_seconds=HEARTBEAT, shutdown_timeout_seconds=HEARTBEAT)
    except (RuntimeError, ValueError) as error:
        raise GiftError(
            f"--hosts: the other processes could not be joined ({short_reason(error)}); start this under `srun`, or "
            "set JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID for each"
        ) from None


@contextlib.contextmanager
def lost_hosts_reported() -> Iterator[None]:
    """Turn the failure of a collective, which a host's death leaves behind, into a GiftError."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise GiftError(
            f"another host does not answer any more ({short_reason(error)}); start all again, to go on from the "
            "last checkpoint"
        ) from None


def is_writer() -> bool:
    """Whether this process writes what all hosts share."""
    return jax.process_index() == 0
