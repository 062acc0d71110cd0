"""Label refinement and the eight training criteria: pure, unreduced, `(B, C) -> (B,)`.

Every criterion takes `(student_logits [B, C], teacher_logits [B, C], labels int [B])` and returns a
loss for each image, in nats or in units of the logits squared; the batch mean of it is what the official
code minimises. Options are keyword-only and default to the official values.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

# torch.nn.functional.normalize and cosine_similarity clip norms here, so zero vectors give zero, not NaN.
_NORMALIZE_EPS = 1e-12
_COSINE_EPS = 1e-8


LossFn = Callable[..., jax.Array]
"""`(student_logits [B, C], teacher_logits [B, C], labels int [B], *, **options) -> float [B]`."""


def reading_levels(loss: LossFn) -> LossFn:
    """Mark a loss that reads more of the teacher's logits than their softmax: a constant added to them changes it.

    With the option `soft="probabilities"` it does not.
    """
    loss.reads_levels = True  # type: ignore[attr-defined]
    return loss


def reads_levels(loss: str, options: Mapping[str, Any]) -> bool:
    """Whether a loss of `LOSSES` with these options is so marked."""
    return getattr(LOSSES[loss], "reads_levels", False) and options.get("soft") != "probabilities"


def l2_normalize(vectors: jax.Array) -> jax.Array:
    """Scale vectors to length one: `v / max(|v|, 1e-12)`.

    Args: vectors, float [..., C]. Returns: float [..., C]; a zero vector stays zero, with zero gradient.
    Reference: `torch.nn.functional.normalize`.
    """
    squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.maximum(squared, _NORMALIZE_EPS**2))


def smooth_labels(
    labels: jax.Array, num_classes: int, *, smoothing: float = 0.1, dtype: jnp.dtype | type = jnp.float32
) -> jax.Array:
    """Turn labels into smoothed one-hot rows: `1 - a` on the true class, `a / (C - 1)` on each other one.

    Args: labels, int [B]; num_classes, C >= 2; smoothing, a in [0, 1]. Returns: float [B, C].
    Reference: the official GIFT code.
    """
    one_hot = jax.nn.one_hot(labels, num_classes, dtype=dtype)
    # PyTorch and optax spread `a / C` over all classes.
    return optax.smooth_labels(one_hot, smoothing * num_classes / (num_classes - 1))


def refine_labels(
    teacher_logits: jax.Array,
    labels: jax.Array,
    *,
    weight: float = 0.1,
    smoothing: float = 0.1,
    form: Literal["additive", "convex"] = "additive",
    soft: Literal["logits", "probabilities"] = "logits",
    temperature: float = 1.0,
) -> jax.Array:
    """Refine soft labels with hard ones, both at unit length.

    additive (the official code): `y* = t / |t| + w s / |s|`;
    convex (the paper's README): `y* = (1 - w) t / |t| + w s / |s|`,
    where t are the teacher's logits and s the smoothed labels. The cosine loss ignores the length of y*, so
    the convex form with weight `w / (1 + w)` is the additive form with weight w (0.1 is 1/11). With
    soft="probabilities", t is `softmax(t / temperature)` instead, for ablations; the length-one logits of the
    official code know no temperature.

    Args: teacher_logits, float [B, C]; labels, int [B]. Returns: float [B, C], not normalised.
    Reference: GIFT (ICLR 2025), section 4; official `losses_benchmark.py`.
    """
    targets = {"logits": lambda: teacher_logits, "probabilities": lambda: jax.nn.softmax(teacher_logits / temperature)}
    unit = l2_normalize(targets[soft]())
    smoothed = smooth_labels(labels, teacher_logits.shape[-1], smoothing=smoothing, dtype=teacher_logits.dtype)
    hard = l2_normalize(smoothed)
    soft_weight = {"additive": 1.0, "convex": 1.0 - weight}[form]
    return soft_weight * unit + weight * hard


def ce(student_logits: jax.Array, teacher_logits: jax.Array, labels: jax.Array, *, smoothing: float = 0.0) -> jax.Array:
    """Cross-entropy with the hard labels: `-log softmax(z)[y]`, in nats. The teacher is not used.

    With smoothing a, a share a of each label is spread evenly over all C classes, as PyTorch and timm spread it.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: `torch.nn.functional.cross_entropy`.
    """
    del teacher_logits
    hard = optax.softmax_cross_entropy_with_integer_labels(student_logits, labels)
    if not smoothing:
        return hard
    return (1 - smoothing) * hard - smoothing * jnp.mean(jax.nn.log_softmax(student_logits), axis=-1)


def kl(
    student_logits: jax.Array,
    teacher_logits: jax.Array,
    labels: jax.Array,
    *,
    temperature: float = 20.0,
    t_squared: bool = False,
    student_temperature: float | None = None,
) -> jax.Array:
    """Divergence of softened predictions: `KL(softmax(t / T) || softmax(z / T))`, in nats.

    With t_squared the loss is multiplied by T^2, as Hinton et al. (2015), section 2.1, ask for, so that its
    gradient does not shrink with T. The official GIFT code (T = 20) leaves the factor out, which makes its
    gradient in the logits about a hundredth of GIFT's. student_temperature is z's own, as LPQLD's.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: Hinton et al. (2015), section 2.1; official `losses_benchmark.py`.
    """
    del labels
    log_student = jax.nn.log_softmax(student_logits / (student_temperature or temperature))
    log_teacher = jax.nn.log_softmax(teacher_logits / temperature)
    divergence = optax.losses.kl_divergence_with_log_targets(log_student, log_teacher)
    return divergence * temperature**2 if t_squared else divergence


def softce(student_logits: jax.Array, teacher_logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy with the teacher's probabilities: `-sum_c softmax(t)_c log softmax(z)_c`, in nats.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: official `losses_benchmark.py`.
    """
    del labels
    return optax.softmax_cross_entropy(student_logits, jax.nn.softmax(teacher_logits))


@reading_levels
def mse(student_logits: jax.Array, teacher_logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean squared difference of the logits: `mean_c (z_c - t_c)^2`.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: `torch.nn.functional.mse_loss`, by image.
    """
    del labels
    return jnp.mean(jnp.square(student_logits - teacher_logits), axis=-1)


@reading_levels
def mse_ce(
    student_logits: jax.Array, teacher_logits: jax.Array, labels: jax.Array, *, ce_weight: float = 0.1
) -> jax.Array:
    """G-VBSM's criterion: `mse + ce_weight * ce`.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: G-VBSM (Shao et al., CVPR 2024); official `losses_benchmark.py`.
    """
    return mse(student_logits, teacher_logits, labels) + ce_weight * ce(student_logits, teacher_logits, labels)


def softce_ce(
    student_logits: jax.Array, teacher_logits: jax.Array, labels: jax.Array, *, ce_weight: float = 0.1
) -> jax.Array:
    """Cross-entropy with the teacher's and the hard labels: `softce + ce_weight * ce`, in nats.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: official `losses_benchmark.py`.
    """
    return softce(student_logits, teacher_logits, labels) + ce_weight * ce(student_logits, teacher_logits, labels)


@reading_levels
def cosine(student_logits: jax.Array, teacher_logits: jax.Array, labels: jax.Array) -> jax.Array:
    """One minus the cosine similarity: `1 - z . t / (max(|z|, e) max(|t|, e))`, e = 1e-8.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: `torch.nn.functional.cosine_similarity`; optax clips the squared norms, hence e^2.
    """
    del labels
    return optax.cosine_distance(student_logits, teacher_logits, epsilon=_COSINE_EPS**2)


@reading_levels
def gift(
    student_logits: jax.Array,
    teacher_logits: jax.Array,
    labels: jax.Array,
    *,
    weight: float = 0.1,
    smoothing: float = 0.1,
    form: Literal["additive", "convex"] = "additive",
    soft: Literal["logits", "probabilities"] = "logits",
    temperature: float = 1.0,
) -> jax.Array:
    """Cosine loss against refined labels: `1 - cos(z, refine_labels(t, y))`.

    The paper's README prints `loss = cosine_similarity(...)`, which would minimise the similarity; its code,
    and this function, minimise one minus it. See `refine_labels` for the options.

    Args: student_logits and teacher_logits, float [B, C]; labels, int [B]. Returns: float [B].
    Reference: GIFT (ICLR 2025), section 4; official `losses_benchmark.py`.
    """
    options = {"weight": weight, "smoothing": smoothing, "temperature": temperature}
    refined = refine_labels(teacher_logits, labels, form=form, soft=soft, **options)
    return cosine(student_logits, refined, labels)


LOSSES: Mapping[str, LossFn] = {
    "ce": ce,
    "kl": kl,
    "softce": softce,
    "mse": mse,
    "mse_ce": mse_ce,
    "softce_ce": softce_ce,
    "cosine": cosine,
    "gift": gift,
}
"""Every training criterion, by the name that options and recipes take."""
