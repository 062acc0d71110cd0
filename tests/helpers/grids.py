"""Rows of results that are made up, for the tests of reports, and what these say."""

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
