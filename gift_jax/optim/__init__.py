"""Optimizers with PyTorch's weight-decay semantics, and learning-rate schedules by epoch; all from optax.

`__init__.pyi` lists the names with their homes; each loads when it is first asked for, as in `gift_jax`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
