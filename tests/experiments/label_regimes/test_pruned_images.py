"""Training dynamics: the training is that of `train`, and every image is looked at after every epoch."""

import dataclasses

import numpy as np
from setups import INFO, distilled_set

from experiments.label_regimes.pruned_images import RECIPE, SEED, record_dynamics
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import get_model
from gift_jax.task import train


def test_dynamics_are_of_the_ordinary_training():
    images, network = distilled_set(22), get_model(dataclasses.replace(INFO.spec, name="conv1"))
    recipe = dataclasses.replace(RECIPE, epochs=3, batch_size=22, evaluations=3, augment="none")
    told = []
    dynamics = record_dynamics(recipe, network, images, lambda epochs, loss: told.append(loss))
    [run] = train(recipe, network, images, None, EvaluationSet(images.images, images.labels, "digits"), seeds=(SEED,))
    assert dynamics.correct.shape == dynamics.margins.shape == dynamics.errors.shape == (3, 22)
    np.testing.assert_allclose(100 * dynamics.correct.mean(axis=1), [look.top1 for look in run.history])
    np.testing.assert_allclose(told, run.losses, rtol=1e-6)
