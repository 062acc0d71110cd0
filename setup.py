"""What the wheel carries.

`convert` and `experiments` are names of other projects on the package index: the wheel has
both inside `gift_jax`, and only a checkout, installed with `pip install -e`, has them at the top too.
"""

from setuptools import find_packages, setup
from setuptools.command.editable_wheel import editable_wheel

LIBRARY = find_packages(include=["gift_jax", "gift_jax.*"])
BESIDE = find_packages(include=["convert", "convert.*", "experiments", "experiments.*"])


class Editable(editable_wheel):
    """An editable install, in which `python -m convert` works from every directory, as in the checkout."""

    def run(self) -> None:
        """Name the checkout's packages: by a path, which a directory above it called gift_jax does not hide."""
        self.distribution.packages = [*LIBRARY, *BESIDE]
        self.package_dir = self.distribution.package_dir = {"": "."}
        super().run()


setup(
    packages=[*LIBRARY, *(f"gift_jax.{name}" for name in BESIDE)],
    package_dir={"gift_jax.convert": "convert", "gift_jax.experiments": "experiments"},
    cmdclass={"editable_wheel": Editable},
)
