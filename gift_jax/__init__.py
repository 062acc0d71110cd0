"""GIFT in JAX: label refinement and cosine loss for training on distilled datasets, under PyTorch teachers.

The everyday names are here; `__init__.pyi` lists them with their homes. Each loads when it is first asked for, so that
a command line answers --help without loading JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
