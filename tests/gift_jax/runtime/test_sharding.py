"""Several devices: seeds side by side, batches split, the same numbers as one device to 1e-5."""

import collections
import functools
import typing

import jax
import numpy as np
import pytest
from forms import short_form
from one_host import train_all
from setups import INFO, distilled_set, evaluation_set, make_variables, random_teacher, stopping_after

from gift_jax.data.datasets import DIGITS_NORMALISATION
from gift_jax.errors import GiftError
from gift_jax.evaluate import make_evaluator
from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.sharding import choose_devices, jit_over, make_mesh, over_seeds, place_on_mesh, split_batch
from gift_jax.task import Task
from gift_jax.training.program import init_state, make_data
from gift_jax.training.resume import Checkpoints
from gift_jax.training.step import make_step

RECIPE = Recipe(epochs=2, batch_size=8, evaluations=2, optimizer=Optimizer("sgd", 0.05))


@pytest.fixture(scope="module")
def expected():
    return train_all(RECIPE, seed_driver="loop", driver="loop")


# One seed's are parts of these; three seeds over two, by the loop, are what test_sharding_hosts.py trains, too.
MESHES = [((1, 2), "scan"), ((1, 8), "loop"), ((2, 2), "loop"), ((3, 2), "scan")]


@pytest.mark.parametrize(("shape", "driver"), short_form(MESHES, MESHES[-1:]))
def test_a_mesh_gives_the_numbers_of_one_device(shape, driver, devices, expected):
    mesh = make_mesh(shape[0], 8, devices(shape[0] * shape[1]))
    assert tuple(mesh.shape.values()) == shape
    for found, one in zip(train_all(RECIPE, seed_driver=mesh, driver=driver), expected, strict=True):
        assert found.seed == one.seed
        np.testing.assert_allclose(found.losses, one.losses, rtol=1e-5)
        assert [look.epoch for look in found.history] == [1, 2]
        for leaf, other in zip(jax.tree.leaves(found.state), jax.tree.leaves(one.state), strict=True):
            np.testing.assert_allclose(leaf, other, atol=1e-5)


class Device(typing.NamedTuple):
    process_index: int
    id: int


@pytest.mark.parametrize(
    ("seeds", "batch_size", "hosts", "each", "shape"),
    [
        *((1, 100, 1, 8, (1, 5)), (3, 100, 1, 8, (3, 2)), (8, 100, 1, 8, (8, 1)), (10, 100, 1, 8, (5, 1))),
        *((7, 100, 1, 4, (4, 1)), (2, 50, 1, 8, (2, 2)), (3, 7, 1, 2, (2, 1)), (1, 13, 1, 4, (1, 1))),
        *((3, 100, 2, 4, (3, 2)), (1, 100, 2, 4, (1, 4)), (8, 100, 4, 4, (8, 2)), (5, 64, 4, 8, (5, 4))),
    ],
)
def test_seeds_go_first_batches_where_devices_are_left_and_every_host_takes_part(seeds, batch_size, hosts, each, shape):
    devices = [Device(index // each, index) for index in range(hosts * each)]
    chosen = choose_devices(seeds, batch_size, devices)
    assert chosen.shape == shape
    counts = collections.Counter(device.process_index for device in chosen.flat)
    assert len(counts) == hosts
    assert len(set(counts.values())) == 1


def test_hosts_without_even_shares():
    with pytest.raises(GiftError, match="change the batch size"):
        make_mesh(1, 7, [Device(0, 0), Device(1, 1)])


def test_the_batch_is_split_and_the_loss_is_of_the_whole(devices):
    """Convolutions of the compiled step see half of the batch; BatchNorm's sums are exchanged."""
    mesh = make_mesh(1, 8, devices(2))
    program = Task(RECIPE, get_model(INFO.spec), distilled_set(), random_teacher()).program
    step = over_seeds(split_batch(make_step(program), mesh), mesh, (True, False, True, True))
    state = jax.tree.map(
        lambda leaf: leaf[None], init_state(program, jax.random.key(0), RECIPE.optimizer.learning_rate)
    )
    arguments = (place_on_mesh(state, mesh, "seed"), place_on_mesh(make_data(distilled_set(), random_teacher()), mesh))
    indices, key = np.arange(8, dtype=np.int32)[None], jax.random.split(jax.random.key(0), 1)
    text = jit_over(step, mesh).lower(*arguments, indices, key).compile().as_text()
    convolutions = [line for line in text.splitlines() if " convolution(" in line]
    assert convolutions
    assert not any("f32[8,8,8," in line.split("=")[1] for line in convolutions)
    assert any("f32[4,8,8," in line for line in convolutions)
    assert "all-reduce" in text


def test_evaluation_over_a_mesh(devices):
    """Uneven shares: 23 images over 6 devices, in batches of 12."""
    params, batch_stats = make_variables()
    model, images = get_model(INFO.spec), evaluation_set()
    expected = make_evaluator(model, images, DIGITS_NORMALISATION)(params, batch_stats)
    mesh = make_mesh(3, 8, devices(6))
    found = make_evaluator(model, images, DIGITS_NORMALISATION, batch_size=10, mesh=mesh)
    assert found(*place_on_mesh((params, batch_stats), mesh)) == expected


@pytest.mark.exhaustive
def test_a_mesh_goes_on_from_a_checkpoint(devices, tmp_path):
    mesh, checkpoints = make_mesh(2, 8, devices(4)), Checkpoints(tmp_path, epochs=1)
    run = functools.partial(train_all, RECIPE, seeds=(0, 1), seed_driver=mesh, driver="loop")
    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(checkpoints=checkpoints, on_epoch=stopping_after(1))
    for found, one in zip(run(checkpoints=checkpoints), whole, strict=True):
        jax.tree.map(np.testing.assert_array_equal, found.state, one.state)
        assert found.history == one.history
