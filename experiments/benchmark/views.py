"""The report of the benchmark: its headline first, then a section for each smaller question."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gift_jax.optim import compared
from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Block, Section, Table
from gift_jax.reports.pictures import Point
from gift_jax.reports.summary import ACCURACY, SUBJECT, TITLE, differences, listing, what_was_run
from gift_jax.reports.tables import Summary, figure, grid_table, make_grid, name_on
from gift_jax.training.timing import duration

from ..common.label_gains import HARD, WITH, Accuracies, share_table
from ..common.reporting import MISSING, QUESTION, Row, guessing, listed_section, only, unfilled
from .cells import QUESTIONS, rates_on_validation
from .headline import PRIMARY, read_headline, statistics_section, summary
from .inputs import OFFICIAL
from .published import PUBLISHED, TEACHERS
from .setup import BY_DATASET, DRAWN, MADE, Benchmark

SOURCE = "https://github.com/VICO-UoE/DatasetCondensation, readme.md, Tables 1 and 2"
# Top-1 in percent by images per class, of a ConvNet-3 of width 128 with InstanceNorm and no teacher. Its part about DM
# prints no figure for Fashion-MNIST, nor does the repository of MTT.
LITERATURE: Mapping[str, Mapping[int, float]] = {
    "DC": {1: 70.5, 10: 82.3, 50: 83.6},
    "DSA": {1: 70.6, 10: 84.6, 50: 88.7},
}
# Axes of the questions that are whole grids, and what tells the grids of a question apart.
AXES: Mapping[str, tuple[str, ...]] = {
    "headline": ("loss", "optimizer", "view"),
    "sizes": ("images", "loss"),
    "students": ("student", "loss"),
    "length": ("ipc", "loss"),
    "losses": ("loss",),
    "epochs": ("epochs", "loss"),
    "augmentation": ("augmentation", "loss"),
    "search": ("loss", "rate"),
}
APART: Mapping[str, str] = {"sizes": "ipc", "losses": "ipc", "length": "images", "search": "optimizer"}


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The headline first, then what each question gives; what was not run is named."""
    asked = {name_on(row, "question") for row in rows}
    headline = read_headline(rows)
    sections = [regime_view(rows)] if asked & {"primary", "losses"} else []
    if headline:
        title = "Optimizers, at the default and at tuned rates" if sections else TITLE
        sections += [summary(rows, headline, title), statistics_section(rows, headline)]
    sections = sections or [Section(TITLE, ["Neither losses at the official rate nor the headline were run."])]
    sections += [make(rows) for question, makers in VIEWS.items() if question in asked for make in makers]
    wanted = BY_DATASET.get(dataset_of(rows), {}).get("stages", Benchmark.stages)
    missing = [f"question {name}" for name in QUESTIONS if name in wanted and name not in asked]
    return [*sections, *listed_section("Not run", MISSING, [*missing, *missing_cells(rows)])]


def dataset_of(rows: Sequence[Row]) -> str:
    """The dataset of the study."""
    return next((row["dataset"] for row in rows if "dataset" in row), "")


def regime_view(rows: Sequence[Row]) -> Section:
    """All losses by size in the official regime, the primary comparison among them."""
    primary, chance = only(rows, question="primary"), guessing(rows)
    main = next((str(row["ipc"]) for row in primary if "ipc" in row), "")
    found = {}
    for row in (*only(rows, question="losses"), *primary):
        ipc = row["labels"].get("ipc", main)
        found[name_on(row, "loss"), ipc, row["seed"]] = {**row, "labels": {**row["labels"], "ipc": ipc}}
    own = sorted(found.values(), key=lambda row: int(row["labels"]["ipc"]))
    grid, about = make_grid(own, "loss", "ipc", guessing=chance), what_was_run(own)
    order = sorted(grid.rows, key=lambda loss: -max(grid.cell(loss, grid.columns[0]).mean, 0.0))
    panels = {}
    for ipc in grid.columns:
        panel = make_grid(only(own, ipc=ipc), "optimizer", "loss", guessing=chance)
        panels[f"{ipc} per class"] = panel._replace(columns=tuple(loss for loss in order if loss in panel.columns))
    blocks: list[Block] = [about, pictures.points("summary", panels, "Accuracy by loss", about=about, sideways=True)]
    for test in significance.compare(primary, row="loss", column="optimizer", subject=SUBJECT, guessing=chance):
        line = significance.line(test._replace(column="mean"), SUBJECT)
        blocks += [f"{PRIMARY} one paired t-test, with its 95 % interval.", listing([line])]
    table = grid_table(grid._replace(rows=tuple(order)), "loss", worst=None)
    compared_with = differences(own, "loss", "ipc", SUBJECT, guessing=chance)
    return Section(TITLE, [*blocks, table, f"{ACCURACY} Columns are images per class.", *compared_with])


def published_view(rows: Sequence[Row]) -> Section:
    """Each published figure beside ours, with n, spread and the difference."""
    body, known = [], PUBLISHED.get(dataset_of(rows), {})
    for row in only(rows, question="teacher"):
        if there := TEACHERS.get((row["dataset"], row["model"])):
            apart = f"{row['top1_last'] - there.mean:+.1f}"
            body.append(
                [f"{row['model']} teacher", "all", str(there), f"{row['top1_last']:.2f} (n = 1)", apart, there.source]
            )
    for question, title in (("rded", "RDED's recipe on RDED's sets"), ("dc", "DC's recipe on DC's own sets")):
        own = only(rows, question=question)
        for ipc in sorted({name_on(row, "ipc") for row in own}, key=int):
            found = make_grid(only(own, ipc=ipc), QUESTION, "ipc", guessing=guessing(rows)).cell(question, ipc)
            there = known.get((question, int(ipc)))
            apart = f"{found.mean - there.mean:+.1f}" if there else "-"
            ours, source = f"{found} (n = {found.n})", there.source if there else "-"
            body.append([title, ipc, str(there or "-"), ours, apart, source])
    header = ["what", "images per class", "published", "ours", "difference", "source"]
    about = "Top-1 accuracy, %. The published figures are of the original pixels."
    return Section("Published and ours", [about, Table([header, *body], text=True)])


def epochs_view(rows: Sequence[Row]) -> Section:
    """Accuracy against the length of the training."""
    own = sorted(only(rows, question="epochs"), key=lambda row: int(name_on(row, "epochs")))
    grid = make_grid(own, "loss", "epochs", guessing=guessing(rows))
    series, about = {"": pictures.grid_series(grid)}, what_was_run(own)
    picture = pictures.lines("epochs", series, "epochs", "Accuracy by length of the training", about=about, scale="log")
    return Section("Shorter and longer training", [picture, grid_table(grid, "loss", worst=None), ACCURACY])


def missing_cells(rows: Sequence[Row]) -> list[str]:
    """The cells that would fill each question's grids."""
    parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        question = name_on(row, "question")
        parts[question, name_on(row, APART[question]) if question in APART else ""].append({**row, "seed": 0})
    return [
        " of ".join(filter(None, (cell, question, part)))
        for (question, part), own in parts.items()
        for cell in unfilled(own, AXES.get(question, ()))
    ]


def teacher_view(rows: Sequence[Row]) -> Section:
    """How the teacher was trained, and what it reaches."""
    row = only(rows, question="teacher")[0]
    recipe, width = row["recipe"], dict(row["student"]["options"]).get("width")
    facts = [
        ["architecture", f"{row['model']}, width {width}"],
        ["optimizer", f"{recipe['optimizer']['name']}, learning rate {recipe['optimizer']['learning_rate']:g}"],
        ["schedule", f"{recipe['schedule']['name']}, {row['epochs']} epochs"],
        ["augmentation", recipe["augment"]],
        ["time", duration(row["train_seconds"])],
        ["test images", name_on(row, "test images")],
        ["top-1", f"{row['top1_last']:.2f} %"],
    ]
    return Section("The teacher", [Table([["", ""], *facts], text=True)])


def literature_view(rows: Sequence[Row]) -> Section:
    """Our best set with the teacher's labels and with hard ones beside what others report."""
    sizes = sorted({int(name_on(row, "ipc")) for row in only(rows, question="sizes")})
    chance = guessing(rows)
    body = [
        [f"{name}, no teacher", *(f"{known[ipc]:.1f}" if ipc in known else "-" for ipc in sizes)]
        for name, known in LITERATURE.items()
    ]
    for question, length in (("sizes", "the same steps at all sizes"), ("length", "longer training")):
        for title, keep in _LABELS.items():
            cells = [_best(only(rows, question=question, ipc=str(ipc)), keep, chance) for ipc in sizes]
            if any(cells):
                body.append([f"ours, {title}, {length}", *(cell or "-" for cell in cells)])
    about = (
        f"Top-1 accuracy, %. DC's and DSA's are from {SOURCE}: a ConvNet-3 with InstanceNorm, hard labels. Ours have a "
        "ConvNet-3 with BatchNorm and, where it says so, a teacher that saw all training images. The best of our sets "
        "and losses is shown, which flatters us a little. DM's and MTT's repositories print none for Fashion-MNIST."
    )
    return Section("Compared with published results", [about, Table([["images per class", *map(str, sizes)], *body])])


_LABELS: Mapping[str, Callable[[str], bool]] = {
    "the teacher's labels": lambda loss: loss != HARD,
    "hard labels": lambda loss: loss == HARD,
}


def _best(rows: Sequence[Row], keep: Callable[[str], bool], chance: float) -> str:
    """The best cell of some losses with its set and loss; "" if there is none."""
    grid = make_grid([row for row in rows if keep(name_on(row, "loss"))], "images", "loss", guessing=chance)
    if not grid.cells:
        return ""
    images, loss = max(grid.cells, key=lambda names: grid.cells[names].mean)
    return f"{grid.cell(images, loss)} ({images}, `{loss}`)"


def sizes_view(rows: Sequence[Row]) -> Section:
    """Images and labels at each size, and whose the gain over random images with hard labels is."""
    own, chance = only(rows, question="sizes"), guessing(rows)
    blocks: list[Block] = [f"{trained_at(own)} Random images are drawn anew for each seed."]
    for ipc in sorted({name_on(row, "ipc") for row in own}, key=int):
        found = only(own, ipc=ipc)
        grid = make_grid(found, "loss", "images", guessing=chance)
        blocks += [f"**Images per class: {ipc}**", grid_table(grid, "loss", worst=None)]
        if {SUBJECT, HARD} <= {*grid.rows} and DRAWN in grid.columns:
            of: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
            for row in found:
                of[name_on(row, "images"), name_on(row, "loss"), WITH][row["seed"]] = figure(row, chance)
            made = [name for name in MADE if name in grid.columns]
            blocks.append(share_table(Accuracies(of, {}), made, [SUBJECT]))
    return Section("Images, labels and sizes", blocks)


def trained_at(rows: Sequence[Row]) -> str:
    """What the figures of rows are, and at which rates their students were trained."""
    default = compared(OFFICIAL).optimizer.learning_rate
    untuned = all(row["recipe"]["optimizer"]["learning_rate"] == default for row in rows)
    rate = "its default rate" if untuned else "the rate that the search chose for the loss"
    return f"{ACCURACY} Students are trained by `{OFFICIAL}` at {rate}."


def simple_view(
    question: str, title: str, column: str, about: str = "", figures: str = ""
) -> Callable[[Sequence[Row]], Section]:
    """A section of one table by loss and one axis. Args: figures, what the table's figures are, if not `trained_at`."""

    def view(rows: Sequence[Row]) -> Section:
        own = only(rows, question=question)
        grid = make_grid(own, "loss", column, guessing=guessing(rows))
        return Section(title, [f"{figures or trained_at(own)} {about}".strip(), grid_table(grid, "loss", worst=None)])

    return view


def length_view(rows: Sequence[Row]) -> Section:
    """A table by loss and size for each kind of images."""
    # In the order of sizes, in whatever order they were run.
    own = sorted(only(rows, question="length"), key=lambda row: int(name_on(row, "ipc")))
    blocks: list[Block] = [
        f"{trained_at(own)} Columns are images per class; random images are drawn anew for each seed."
    ]
    for images in dict.fromkeys(name_on(row, "images") for row in own):
        grid = make_grid(only(own, images=images), "loss", "ipc", guessing=guessing(rows))
        blocks += [f"**Images: {images}**", grid_table(grid, "loss", worst=None)]
    return Section("Longer training", blocks)


def refinement_view(rows: Sequence[Row]) -> Section:
    """GIFT's weight and smoothing."""
    own = only(rows, question="refinement")
    grid = make_grid(own, "weight", "smoothing", guessing=guessing(rows))
    weights, smoothings = (tuple(sorted(names, key=float)) for names in (grid.rows, grid.columns))
    grid = grid._replace(rows=weights, columns=smoothings)
    about = "Rows are weights, columns smoothings. Weight 0 is the cosine loss; 0.1 and 0.1 are official."
    return Section("Refinement", [f"{trained_at(own)} {about}", grid_table(grid, "weight", worst=None)])


def search_view(rows: Sequence[Row]) -> Section:
    """Validation accuracy by rate, what was chosen, and which choices are at an end of their grid."""
    own, chance = only(rows, question="search"), guessing(rows)
    rates, _ = rates_on_validation(own)
    optimizers = [*dict.fromkeys(name_on(row, "optimizer") for row in own)]
    tuned = {}
    for (loss, name), rate in rates.items():
        searched = sorted({name_on(row, "rate") for row in only(own, optimizer=name)}, key=float)
        tuned[loss, name] = f"{_rate(name) * float(rate):g}{'*' * (rate in (searched[0], searched[-1]))}"
    losses = dict.fromkeys(name_on(row, "loss") for row in own)
    body = [[f"`{loss}`", *(tuned.get((loss, name), "-") for name in optimizers)] for loss in losses]
    about = (
        "Accuracy on held-out training images after the last epoch decides; the teacher has seen these in its own "
        "training, the sets hold none. A star marks a choice at an end of its grid, so that a wider one may do better."
    )
    panels = pictures.panels_by(own, "optimizer", "loss", "rate", chance)
    xlabel = "learning rate, times the default"
    picture = pictures.lines("search", panels, xlabel, "Validation accuracy by learning rate", bars="", scale="log")
    return Section("The chosen rates", [about, Table([["loss", *optimizers], *body]), picture], folded=True)


def _rate(optimizer: str) -> float:
    return compared(optimizer).optimizer.learning_rate


def gradient_view(rows: Sequence[Row]) -> Section:
    """Whether tuned rate times gradient norm agrees across losses."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row in only(rows, question="gradient"):
        groups[name_on(row, "loss")].append(row["gradient_norm"])
    norms = {loss: statistics.fmean(found) for loss, found in sorted(groups.items(), key=lambda item: -max(item[1]))}
    searched = only(rows, question="search")
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for (loss, name), multiple in (rates_on_validation(searched)[0] if searched else {}).items():
        if loss in norms:
            rates[name][loss] = _rate(name) * float(multiple)
    columns = {f"rate, {name}": own for name, own in rates.items()}
    columns |= {f"rate x norm, {name}": {loss: norms[loss] * own[loss] for loss in own} for name, own in rates.items()}
    body = [
        [f"`{loss}`", f"{norm:.3g}", *(f"{own[loss]:.3g}" if loss in own else "-" for own in columns.values())]
        for loss, norm in norms.items()
    ]
    spread = [f"{max(own.values()) / min(own.values()):.3g}" for own in (norms, *columns.values())]
    about = (
        "Norm of the gradient of the mean loss over the whole set in all weights before the first step, mean of seeds. "
        "Rates are the tuned ones; those at an end of their grid are in The chosen rates."
    )
    series = {
        name: [Point(norms[loss], Summary(rate, math.nan, 1), False) for loss, rate in own.items()]
        for name, own in rates.items()
    }
    logarithmic: Any = {"scale": "log", "figures": "log", "bars": "", "marks": together(norms)}
    xlabel, title = "norm of the loss's gradient at the start", "Tuned rates and gradients"
    options = {**logarithmic, "label": "tuned learning rate"}
    drawn = [pictures.lines("gradients", {"": series}, xlabel, title, **options)] if series else []
    return Section(
        "Gradients and rates",
        [*drawn, Table([["loss", "gradient norm", *columns], *body, ["largest / smallest", *spread]]), about],
    )


def together(norms: Mapping[str, float]) -> dict[str, float]:
    """Losses whose norms are too close to be named apart under one name, with the norm of the first."""
    groups: list[tuple[list[str], float]] = []
    for loss, norm in sorted(norms.items(), key=lambda item: item[1]):
        if groups and norm < 1.25 * groups[-1][1]:
            groups[-1][0].append(pictures.display(loss))
        else:
            groups.append(([pictures.display(loss)], norm))
    return {", ".join(names): norm for names, norm in groups}


_RELABELLED = (
    "DC's own sets and students under GIFT's recipe, with hard labels (`ce`) and with the teacher's (`gift`). Columns "
    "are images per class."
)
_OTHER_TEACHER = "RDED's set, made by the first teacher, under the labels of a second one, which names the column."
VIEWS: Mapping[str, Sequence[Callable[[Sequence[Row]], Section]]] = {
    "rded": (published_view,),
    "epochs": (epochs_view,),
    "relabelled": (simple_view("relabelled", "What the labels add to DC's sets", "ipc", _RELABELLED, ACCURACY),),
    "other_teacher": (simple_view("other_teacher", "A second teacher", "teacher", _OTHER_TEACHER, ACCURACY),),
    "sizes": (literature_view, sizes_view),
    "gradient": (gradient_view,),
    "students": (simple_view("students", "Students", "student", "The teacher is the ConvNet."),),
    "refinement": (refinement_view,),
    "length": (length_view,),
    "augmentation": (simple_view("augmentation", "Augmentation", "augmentation"),),
    "search": (search_view,),
    "teacher": (teacher_view,),
}
