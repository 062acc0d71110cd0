"""How the options of the experiments are shown and read. Nothing here imports JAX."""

from collections.abc import Mapping
from typing import Annotated

from gift_jax.runtime.options import Existing

GROUPS: Mapping[str, str] = {
    "what": "",
    "training": "loss losses hard_share recipe optimizer optimizers learning_rate rates schedule epochs batch_size "
    "max_steps precision seed seeds num_seeds",
    "where": "out data train_data test_data class_order distilled teacher soft_labels",
    "machine": "devices hosts jobs shard resume save_minutes dry_run rekey retry_failed tensorboard",
}
"""Groups in which help shows options; any other option is in the first."""
Images = Annotated[str, Existing(r"tfds(:.*)?")]
"""Real images: a directory, or what TensorFlow Datasets has prepared."""
