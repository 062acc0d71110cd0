"""GIFT in JAX: label refinement and cosine loss for training on distilled datasets."""
