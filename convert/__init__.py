"""PyTorch interop: the only package that imports torch. `python -m convert --help` lists its commands."""
