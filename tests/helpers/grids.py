"""Cells and rows of results that are made up, for the tests of grids and reports, and what these say."""

import dataclasses

from gift_jax.errors import Diverged
from gift_jax.reports.page import Picture, Table


def rows_of(figures, axes=("loss", "optimizer"), **fields):
    """Rows by names on the axes: `{("gift", "sgd"): [accuracy by seed]}`; None diverged."""
    curves = {"history": [{"epoch": 1, "top1": 1.0}], "losses": [[1, 1.0]]}
    rows = []
    for names, values in figures.items():
        for seed, top1 in enumerate(values):
            row = {"labels": dict(zip(axes, names, strict=True)), "seed": seed, **fields}
            found = {"failed": "diverged", "reason": "nan"} if top1 is None else {"top1_last": top1, "top1_best": top1}
            rows.append({**row, **found, **({} if top1 is None else curves)})
    return rows


def text_of(sections):
    """The words and tables of sections."""
    blocks = [block for section in sections for block in section.blocks if not isinstance(block, Picture)]
    return "\n".join(block.markdown if isinstance(block, Table) else block for block in blocks)


RUNS = []  # of `Echo`


@dataclasses.dataclass(frozen=True)
class Echo:
    """A cell whose result is its setting."""

    value: float
    seed: int = 0
    name: str = "echo"
    epochs: int = 2

    num_evaluations, num_tested = 1, 10
    program = property(lambda self: self.value)
    workload = property(lambda self: self.name)
    record = property(lambda self: {"optimizer": self.name})
    labels = property(lambda self: {"value": f"{self.name} {self.value:g}"})

    def identity(self):
        return {"value": self.value, "seed": self.seed}

    def shortened(self, epochs, tested):
        return dataclasses.replace(self, epochs=epochs)

    def run(self, on_epoch):
        RUNS.append((self.value, self.seed))
        for _ in range(self.epochs):
            on_epoch(1, self.value)
        if self.value < 0:
            raise Diverged("training stopped: the loss is nan")
        if self.value == 0:
            raise ZeroDivisionError("value is zero")
        return {"top1_last": self.value, "epochs": self.epochs, "seed": self.seed, "seconds": 1.0}
