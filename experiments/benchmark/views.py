"""The report of the benchmark: its headline first, then a section for each smaller question."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from gift_jax.optim import compared
from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Block, Section, Table
from gift_jax.reports.summary import ACCURACY, SUBJECT, TESTED, TITLE, differences, listing, what_was_run
from gift_jax.reports.tables import grid_table, in_order, make_grid, name_on
from gift_jax.runtime.progress import duration

from ..common.guessing import guessing
from ..common.label_gains import HARD
from ..common.reporting import MISSING, QUESTION, Row, listed_section, only, unfilled
from .cells import OFFICIAL, QUESTIONS, rates_on_validation
from .headline import PRIMARY, read_headline, statistics_section, summary
from .published import LITERATURE, PUBLISHED, SOURCE, TEACHERS
from .setup import BY_DATASET, Benchmark

# What tells the grids of a question apart, whose names are not all run with one another.
APART: Mapping[str, str] = {"sizes": "ipc", "losses": "ipc", "length": "images", "search": "optimizer"}


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The headline first, then what each question gives; what was not run is named."""
    asked = {name_on(row, "question") for row in rows}
    headline = read_headline(rows)
    wanted = BY_DATASET.get(dataset_of(rows), {}).get("stages", Benchmark.stages)
    sections = [regime_view(rows)] if asked & {"primary", "losses"} else []
    if headline:
        title = "Optimizers, at the default and at tuned rates" if sections else TITLE
        compared = "Compared:" if "primary" in wanted else PRIMARY
        sections += [summary(rows, headline, title, compared), statistics_section(rows, headline)]
    sections = sections or [Section(TITLE, ["Neither losses at the official rate nor the headline were run."])]
    sections += [make(rows) for question, makers in VIEWS.items() if question in asked for make in makers]
    lacking = [name for name in QUESTIONS if name in wanted and name not in asked]
    missing = [f"questions: {', '.join(lacking)}"] if lacking else []
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
    own = [*found.values()]
    grid, about = make_grid(own, "loss", "ipc", guessing=chance), what_was_run(own)
    order = sorted(grid.rows, key=lambda loss: -max(grid.cell(loss, grid.columns[0]).mean, 0.0))
    panels = {}
    for ipc in grid.columns:
        panel = make_grid(only(own, ipc=ipc), "optimizer", "loss", guessing=chance)
        panels[f"{ipc} per class"] = panel._replace(columns=tuple(loss for loss in order if loss in panel.columns))
    blocks: list[Block] = [about, pictures.points("summary", panels, "Accuracy by loss", about=about, sideways=True)]
    for test in significance.compare(primary, row="loss", column="optimizer", subject=SUBJECT, guessing=chance):
        line = listing([test._replace(column="mean")], SUBJECT)
        blocks += [f"{PRIMARY} one paired t-test.", line]
    table = grid_table(grid._replace(rows=tuple(order)), "loss")
    note = f"{ACCURACY} {TESTED} {_COLUMNS}"
    return Section(TITLE, [*blocks, table, note, *differences(own, "loss", "ipc", SUBJECT, guessing=chance)])


def published_view(rows: Sequence[Row]) -> Section:
    """Each published figure beside ours, with n and spread."""
    body, known = [], PUBLISHED.get(dataset_of(rows), {})
    for row in only(rows, question="teacher"):
        if there := TEACHERS.get((row["dataset"], row["model"])):
            ours = f"{row['top1_last']:.2f} (n = 1)"
            body.append([f"{row['model']} teacher", "all", str(there), ours, there.source])
    for question, title in (("rded", "RDED's recipe on RDED's sets"), ("dc", "DC's recipe on DC's own sets")):
        own = only(rows, question=question)
        for ipc in in_order(name_on(row, "ipc") for row in own):
            found = make_grid(only(own, ipc=ipc), QUESTION, "ipc", guessing=guessing(rows)).cell(question, ipc)
            there = known.get((question, int(ipc)))
            ours, source = f"{found} (n = {found.n})", there.source if there else "-"
            body.append([title, ipc, str(there or "-"), ours, source])
    header = ["what", "images per class", "published", "ours", "source"]
    about = "The published figures are of the original pixels."
    return Section("Published and ours", [about, Table([header, *body], text=True)])


def epochs_view(rows: Sequence[Row]) -> Section:
    """Accuracy against the length of the training."""
    own = only(rows, question="epochs")
    grid = make_grid(own, "loss", "epochs", guessing=guessing(rows))
    series, about = {"": pictures.grid_series(grid)}, what_was_run(own)
    picture = pictures.lines("epochs", series, "epochs", "Accuracy by length of the training", about=about, scale="log")
    return Section("Shorter and longer training", [picture, grid_table(grid, "loss")])


def missing_cells(rows: Sequence[Row]) -> list[str]:
    """The cells that would fill each question's grids; of refinement, no grid but a cross is run."""
    parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        question = name_on(row, "question")
        if question != "refinement":
            part = name_on(row, APART[question]) if question in APART else ""
            parts[question, part].append({**row, "seed": 0})
    missing = []
    for (question, part), own in parts.items():
        axes = [axis for axis in own[0]["labels"] if axis not in (QUESTION, APART.get(question))]
        missing += [" of ".join(filter(None, (cell, question, part))) for cell in unfilled(own, axes)]
    return missing


def teacher_view(rows: Sequence[Row]) -> Section:
    """How the teacher was trained, and what it reaches."""
    row = only(rows, question="teacher")[0]
    recipe, width = row["recipe"], dict(row["student"]["options"]).get("width")
    optimizer, schedule = recipe["optimizer"], recipe["schedule"]["name"]
    facts = [
        f"{row['model']}, width {width}",
        f"{optimizer['name']}, learning rate {optimizer['learning_rate']:g}, {schedule}",
        f"{row['epochs']} epochs in {duration(row['train_seconds'])}",
        f"augmentation {recipe['augment']}",
        f"{row['top1_last']:.2f} % of {int(name_on(row, 'test images')):,} test images",
    ]
    return Section("The teacher", [" · ".join(facts)])


def literature_view(rows: Sequence[Row]) -> Section:
    """Our best set with the teacher's labels and with hard ones beside what others report."""
    sizes = sorted({int(name_on(row, "ipc")) for row in only(rows, question="sizes")})
    chance = guessing(rows)
    body = [
        [f"{name}, no teacher", *(f"{known[ipc]:.1f}" if ipc in known else "-" for ipc in sizes)]
        for name, known in LITERATURE.items()
    ]
    for question, length in (("sizes", "the same steps at all sizes"), ("length", "longer training")):
        for title, hard in (("the teacher's labels", False), ("hard labels", True)):
            cells = [_best(only(rows, question=question, ipc=str(ipc)), hard, chance) for ipc in sizes]
            if any(cells):
                body.append([f"ours, {title}, {length}", *(cell or "-" for cell in cells)])
    about = (
        f"DC and DSA: a ConvNet-3 with InstanceNorm, hard labels, from {SOURCE}. Ours: a ConvNet-3 with BatchNorm; the "
        "teacher saw all training images. The best of our sets and losses is shown, which flatters us a little."
    )
    return Section("Compared with published results", [about, Table([["images per class", *map(str, sizes)], *body])])


def _best(rows: Sequence[Row], hard: bool, chance: float) -> str:
    """The best cell of hard or of soft labels with its set and loss; "" if there is none."""
    own = [row for row in rows if (name_on(row, "loss") == HARD) is hard]
    grid = make_grid(own, "images", "loss", guessing=chance)
    if not grid.cells:
        return ""
    images, loss = max(grid.cells, key=lambda names: grid.cells[names].mean)
    return f"{grid.cell(images, loss)} ({images}, `{loss}`)"


def trained_at(rows: Sequence[Row]) -> str:
    """At which rates the students of rows were trained."""
    default = compared(OFFICIAL).optimizer.learning_rate
    untuned = all(row["recipe"]["optimizer"]["learning_rate"] == default for row in rows)
    return f"`{OFFICIAL}` at {'its default rate' if untuned else 'the rate that the search chose for each loss'}."


def table_view(
    question: str,
    title: str,
    column: str,
    about: str = "",
    *,
    row: str = "loss",
    each: str = QUESTION,
    searched: bool = True,
) -> Callable[[Sequence[Row]], Section]:
    """A section of tables by two axes.

    Args:
        each: a third axis; each name on it has a table.
        searched: whether the students' learning rates may be those of the search.
    """

    def view(rows: Sequence[Row]) -> Section:
        own = only(rows, question=question)
        blocks: list[Block] = [f"{trained_at(own)} {about}".strip() if searched else about]
        for name in in_order(name_on(one, each) for one in own):
            grid = make_grid(only(own, **{each: name}), row, column, guessing=guessing(rows))
            blocks.append(grid_table(grid, row if each == QUESTION else f"{row}, {each} {name}"))
        return Section(title, blocks)

    return view


def search_view(rows: Sequence[Row]) -> Section:
    """Validation accuracy by rate, what was chosen, and which choices are at an end of their grid."""
    own, chance = only(rows, question="search"), guessing(rows)
    rates, _ = rates_on_validation(own)
    optimizers = [*dict.fromkeys(name_on(row, "optimizer") for row in own)]
    tuned = {}
    for (loss, name), rate in rates.items():
        searched = in_order(name_on(row, "rate") for row in only(own, optimizer=name))
        tuned[loss, name] = f"{_rate(name) * float(rate):g}{'*' * (rate in (searched[0], searched[-1]))}"
    losses = dict.fromkeys(name_on(row, "loss") for row in own)
    body = [[f"`{loss}`", *(tuned.get((loss, name), "-") for name in optimizers)] for loss in losses]
    about = (
        "Accuracy on held-out training images after the last epoch decides; the teacher has seen these in its own "
        "training, the sets hold none. A star marks a choice at an end of its grid."
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
    columns = defaultdict(dict, {"gradient norm": norms})
    for (loss, name), multiple in rates_on_validation(only(rows, question="search"))[0].items():
        if loss in norms:
            columns[f"rate x norm, {name}"][loss] = norms[loss] * _rate(name) * float(multiple)
    body = [[f"`{loss}`", *(f"{own[loss]:.3g}" if loss in own else "-" for own in columns.values())] for loss in norms]
    spread = [f"{max(own.values()) / min(own.values()):.3g}" for own in columns.values()]
    about = (
        "Norm of the gradient of the mean loss over the whole set in all weights before the first step, mean of seeds; "
        "rates are the tuned ones."
    )
    table = Table([["loss", *columns], *body, ["largest / smallest", *spread]])
    return Section("Gradients and rates", [about, table])


_COLUMNS = "Columns are images per class."
_RANDOM = "Random images are drawn anew for each seed."
_RELABELLED = f"DC's sets and students under GIFT's recipe, labels hard (`ce`) and the teacher's (`gift`). {_COLUMNS}"
_OTHER_TEACHER = "RDED's set, made by the first teacher, under the labels of a second one, which names the column."
_REFINEMENT = "Rows are weights, columns smoothings. Weight 0 is the cosine loss; 0.1 and 0.1 are official."
VIEWS: Mapping[str, Sequence[Callable[[Sequence[Row]], Section]]] = {
    "rded": (published_view,),
    "epochs": (epochs_view,),
    "relabelled": (table_view("relabelled", "What the labels add to DC's sets", "ipc", _RELABELLED, searched=False),),
    "other_teacher": (table_view("other_teacher", "A second teacher", "teacher", _OTHER_TEACHER, searched=False),),
    "sizes": (literature_view, table_view("sizes", "Images, labels and sizes", "images", _RANDOM, each="ipc")),
    "gradient": (gradient_view,),
    "students": (table_view("students", "Students", "student", "The teacher is the ConvNet."),),
    "refinement": (table_view("refinement", "Refinement", "smoothing", _REFINEMENT, row="weight"),),
    "length": (table_view("length", "Longer training", "ipc", f"{_COLUMNS} {_RANDOM}", each="images"),),
    "augmentation": (table_view("augmentation", "Augmentation", "augmentation"),),
    "search": (search_view,),
    "teacher": (teacher_view,),
}
