"""The report of the study of Fashion-MNIST: its answer first, then a section for each smaller question."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from gift_jax.optim import compared
from gift_jax.reports import answer, overview, pictures
from gift_jax.reports.page import Section
from gift_jax.reports.tables import Grid, make_grid, markdown_table, name_on
from gift_jax.training.timing import duration

from ..common.label_gains import HARD, WITH, Accuracies, shares
from ..common.rate_views import figure
from ..common.reporting import Row, fill, guessing, left_out, only, table
from .cells import OFFICIAL, SUBJECT, validated
from .headline import ABOUT, answer_section, first_rival, read_headline, statistics_section
from .setup import DRAWN, MADE

SOURCE = "https://github.com/VICO-UoE/DatasetCondensation, readme.md, Tables 1 and 2"
# Top-1 in percent by images per class, of a ConvNet-3 of width 128 with InstanceNorm and no teacher. Its part about DM
# prints no figure for Fashion-MNIST, nor does the repository of MTT.
LITERATURE: Mapping[str, Mapping[int, float]] = {
    "DC": {1: 70.5, 10: 82.3, 50: 83.6},
    "DSA": {1: 70.6, 10: 84.6, 50: 88.7},
}
LONGER = "Columns are images per class; --long-steps are 2,000 unless given, where the other questions have 200."
AT_TUNED = f"Students are trained by `{OFFICIAL}` at the rate that the search chose for the loss."
SEARCHED = "optimizer and rate"  # an axis of the search: optimizers have rates of their own
# Axes of the questions whose tables have no holes, and what tells the grids of a question apart, with its preposition.
AXES: Mapping[str, tuple[str, ...]] = {
    "search": ("loss", SEARCHED),
    "headline": ("loss", "optimizer", "view"),
    "sizes": ("images", "loss"),
    "students": ("student", "loss"),
    "length": ("ipc", "loss"),
    "augmentation": ("augmentation", "loss"),
}
APART: Mapping[str, tuple[str, str]] = {"sizes": ("ipc", "at"), "length": ("images", "on")}


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The answer first, then what each question gives; what was not run is named."""
    rows, omitted = _filled(rows)
    asked = {name_on(row, "question") for row in rows}
    told, searched = ({name_on(row, "loss") for row in only(rows, question=name)} for name in ("headline", "search"))
    if searched - {SUBJECT} and {SUBJECT, first_rival(rows)} <= told:
        headline = read_headline(rows)
        sections = [answer_section(rows, headline), statistics_section(headline)]
    else:
        sections = [Section(answer.TITLE, ["The headline was not run."])]
    sections += [make(rows) for question, makers in VIEWS.items() if question in asked for make in makers]
    missing = [question for question in ("headline", *VIEWS) if question not in asked]
    notes = [f"Not run yet: {', '.join(missing)}."] if missing else []
    notes += left_out(omitted)
    return [*sections, *([Section("Not run", notes)] if notes else [])]


def _filled(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows that fill the questions' tables, and what was left out of each."""
    parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        question = name_on(row, "question")
        parts[question, name_on(row, APART[question][0]) if question in APART else ""].append(row)
    kept, omitted = [], []
    for (question, part), own in parts.items():
        if question == "search":
            own = [{**row, "labels": {**row["labels"], SEARCHED: _searched_at(row)}} for row in own]
        whole, without = fill(own, AXES.get(question, ()))
        kept += whole
        where = f" {APART[question][1]} {part}" if part else ""
        omitted += [f"{name} of {question}{where}" for name in without]
    return kept, omitted


def _searched_at(row: Row) -> str:
    return f"{name_on(row, 'optimizer')} at {name_on(row, 'rate')}"


def teacher_view(rows: Sequence[Row]) -> Section:
    """How the teacher was trained, and what it reaches."""
    row = only(rows, question="teacher")[0]
    recipe = row["recipe"]
    text = (
        f"{row['model']} of width {dict(row['student']['options']).get('width')}: {row['epochs']} epochs of "
        f"{recipe['optimizer']['name']} at {recipe['optimizer']['learning_rate']:g}, {recipe['schedule']['name']} "
        f"schedule, augmentation {recipe['augment']}, in {duration(row['train_seconds'])}: top-1 "
        f"{row['top1_last']:.2f} % on the {name_on(row, 'test images')} test images."
    )
    return Section("The teacher", [text])


def literature_view(rows: Sequence[Row]) -> Section:
    """Our best set with the teacher's labels and with hard ones beside what others report."""
    sizes = sorted({int(name_on(row, "ipc")) for row in only(rows, question="sizes")})
    chance = guessing(rows)
    body = [
        [f"{name}, no teacher", *(f"{known[ipc]:.1f}" if ipc in known else "-" for ipc in sizes)]
        for name, known in LITERATURE.items()
    ]
    for question in ("sizes", "length"):
        for title, keep in _LABELS.items():
            cells = [_best(only(rows, question=question, ipc=str(ipc)), keep, chance) for ipc in sizes]
            steps = "longer training" if question == "length" else "the same steps at all sizes"
            if any(cells):
                body.append([f"ours, {title}, {steps}", *(cell or "-" for cell in cells)])
    about = (
        f"Top-1 accuracy, %. DC's and DSA's are from {SOURCE}: a ConvNet-3 with InstanceNorm, hard labels. Ours have a "
        "ConvNet-3 with BatchNorm and, where it says so, a teacher that saw all training images. The best of our sets "
        "and losses is shown, which flatters us a little. DM's and MTT's repositories print none for Fashion-MNIST."
    )
    return Section("Beside the literature", [about, markdown_table([["images per class", *map(str, sizes)], *body])])


_LABELS: Mapping[str, Callable[[str], bool]] = {
    "the teacher's labels": lambda loss: loss != HARD,
    "hard labels": lambda loss: loss == HARD,
}


def _best(rows: Sequence[Row], keep: Callable[[str], bool], chance: float) -> str:
    """The best cell of some losses with its set and loss; "" if there is none."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if keep(loss := name_on(row, "loss")):
            groups[name_on(row, "images"), loss].append(figure(row, chance))
    if not groups:
        return ""
    (images, loss), values = max(groups.items(), key=lambda item: statistics.fmean(item[1]))
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread} ({images}, `{loss}`)"


def sizes_view(rows: Sequence[Row]) -> Section:
    """Images and labels at each size, and whose the gain over random images with hard labels is."""
    own, chance = only(rows, question="sizes"), guessing(rows)
    blocks = [f"{ABOUT} {AT_TUNED} Random images are drawn anew for each seed."]
    for ipc in sorted({name_on(row, "ipc") for row in own}, key=int):
        found = only(own, ipc=ipc)
        grid = make_grid(found, "loss", "images", guessing=chance)
        blocks += [f"**Images a class: {ipc}**", table(grid, "loss", worst=None), *_shares(found, grid, chance)]
    return Section("Images, labels and sizes", blocks)


def _shares(rows: Sequence[Row], grid: Grid, chance: float) -> list[str]:
    """How much of GIFT's gain over random images with hard labels is the labels'."""
    if not {SUBJECT, HARD} <= {*grid.rows} or DRAWN not in grid.columns:
        return []
    of: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        of[name_on(row, "images"), name_on(row, "loss"), WITH][row["seed"]] = figure(row, chance)
    lines = []
    for images in (name for name in MADE if name in grid.columns):
        total, labels, made = (statistics.fmean(part.values()) for part in shares(Accuracies(of, {}), images, SUBJECT))
        lines.append(
            f"- {images} with `{SUBJECT}`: {total:+.1f} points over random images with hard labels, {labels:+.1f} by "
            f"labels, {made:+.1f} by images."
        )
    return ["\n".join(lines)]


def simple_view(question: str, title: str, column: str, about: str = "") -> Callable[[Sequence[Row]], Section]:
    """A section of one table by loss and one axis."""

    def view(rows: Sequence[Row]) -> Section:
        grid = make_grid(only(rows, question=question), "loss", column, guessing=guessing(rows))
        return Section(title, [f"{ABOUT} {AT_TUNED} {about}".strip(), table(grid, "loss", worst=None)])

    return view


def length_view(rows: Sequence[Row]) -> Section:
    """A table by loss and size for each kind of images."""
    # In the order of sizes, in whatever order they were run.
    own = sorted(only(rows, question="length"), key=lambda row: int(name_on(row, "ipc")))
    blocks = [f"{ABOUT} {AT_TUNED} {LONGER} Random images are drawn anew for each seed."]
    for images in dict.fromkeys(name_on(row, "images") for row in own):
        grid = make_grid(only(own, images=images), "loss", "ipc", guessing=guessing(rows))
        blocks += [f"**Images: {images}**", table(grid, "loss", worst=None)]
    return Section("Longer training", blocks)


def refinement_view(rows: Sequence[Row]) -> Section:
    """GIFT's weight and smoothing."""
    own = only(rows, question="refinement")
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in own:
        groups[name_on(row, "weight"), name_on(row, "smoothing")].append(row)
    renamed = [
        {**row, "labels": {"loss": SUBJECT, "setting": f"weight {weight}, smoothing {smoothing}"}}
        for (weight, smoothing), found in sorted(groups.items(), key=lambda item: tuple(map(float, item[0])))
        for row in found
    ]
    grid = make_grid(renamed, "setting", "loss", guessing=guessing(rows))
    about = f"{ABOUT} {AT_TUNED} Weight 0 is the cosine loss; 0.1 and 0.1 are the official values."
    return Section("Refinement", [about, table(grid, "setting", worst=None)])


def search_view(rows: Sequence[Row]) -> Section:
    """Validation accuracy by rate, what was chosen, and which choices are at an end of their grid."""
    own, chance = only(rows, question="search"), guessing(rows)
    rates, _ = validated(own)
    optimizers = [*dict.fromkeys(name_on(row, "optimizer") for row in own)]
    losses = [*dict.fromkeys(name_on(row, "loss") for row in own)]
    grids = {name: _searched(own, name) for name in optimizers}
    ends = [f"`{loss}` under {name}" for loss, name in _at_ends(own, rates)]
    at_end = f"At an end of the grid, so that a wider one may do better: {', '.join(ends)}." if ends else ""
    spoken = "; ".join(f"{name}: {', '.join(grid)} times {_rate(name):g}" for name, grid in grids.items())
    about = (
        "Accuracy on held-out training images after the last epoch decides; the teacher has seen these in its own "
        f"training, the sets hold none. Searched: {spoken}. {at_end or 'No choice is at an end of its grid.'}"
    )
    body = [[f"`{loss}`", *(f"{_rate(name) * float(rates[loss, name]):g}" for name in optimizers)] for loss in losses]
    picture = pictures.panels("search", own, panel="optimizer", line="loss", x="rate", guessing=chance)
    return Section("The chosen rates", [about, markdown_table([["loss", *optimizers], *body]), picture], folded=True)


def _searched(rows: Sequence[Row], optimizer: str) -> list[str]:
    """The rates that an optimizer was searched with, ascending."""
    return sorted({name_on(row, "rate") for row in only(rows, optimizer=optimizer)}, key=float)


def _at_ends(rows: Sequence[Row], rates: Mapping[tuple[str, str], str]) -> list[tuple[str, str]]:
    """Losses and optimizers whose chosen rate is the smallest or the largest of those searched."""
    return [pair for pair, rate in rates.items() if rate in (found := _searched(rows, pair[1]))[:1] + found[-1:]]


def _rate(optimizer: str) -> float:
    return compared(optimizer).optimizer.learning_rate


def gradient_view(rows: Sequence[Row]) -> Section:
    """Whether tuned rate times gradient norm agrees across losses."""
    own = only(rows, question="gradient")
    groups: dict[str, list[float]] = defaultdict(list)
    for row in own:
        groups[name_on(row, "loss")].append(row["gradient_norm"])
    norms = {loss: statistics.fmean(found) for loss, found in groups.items()}
    searched = only(rows, question="search")
    header = ["loss", "gradient norm"]
    if not searched:
        body = [[f"`{loss}`", f"{norm:.3g}"] for loss, norm in norms.items()]
        return Section("Gradients and rates", [markdown_table([header, *body])])
    chosen, _ = validated(searched)
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for (loss, name), multiple in chosen.items():
        if loss in norms:
            rates[name][loss] = _rate(name) * float(multiple)
    products = {loss: norms[loss] * rate for loss, rate in rates.get("sgd", {}).items()}
    ends = [loss for loss, name in _at_ends(searched, chosen) if name == "sgd"]
    inside = {loss: product for loss, product in products.items() if loss not in ends}
    inverse = math.exp(statistics.fmean(map(math.log, inside.values()))) if inside else 1.0
    picture = overview.rates_by_gradient("gradients", norms, rates, "Tuned rates and gradients", inverse)
    body = [
        [
            f"`{loss}`",
            f"{norm:.3g}",
            *(f"{own[loss]:g}" if loss in own else "-" for own in rates.values()),
            f"{products[loss]:.3g}" if loss in products else "-",
        ]
        for loss, norm in sorted(norms.items(), key=lambda item: -item[1])
    ]
    header += [*(f"rate, {name}" for name in rates), "SGD's rate x norm"]
    text = _gradient_words(norms, rates, inside, ends)
    about = (
        "Norm of the gradient of the mean loss over the whole set in all weights before the first step, mean of seeds."
    )
    return Section("Gradients and rates", [picture, text, markdown_table([header, *body]), about])


def _gradient_words(
    norms: Mapping[str, float], rates: Mapping[str, Mapping[str, float]], products: Mapping[str, float],
    ends: Sequence[str],
) -> str:  # fmt: skip
    """Args: products, of SGD's rate and the norm; ends, losses that are not among them."""
    spread = _factor(norms[loss] for loss in products or norms)
    named = answer.listed([f"`{loss}`" for loss in ends])
    first = f"Without {named}, whose rate is at an end of the search, the" if ends and products else "The"
    first += f" losses' gradients at the start differ by a factor of {spread:.0f}"
    if products:
        apart = _factor(products.values())
        told = (
            "the tuned rate makes up for most of the difference"
            if apart < math.sqrt(spread)
            else "rates do not follow gradients"
        )
        tuned = _factor(rates["sgd"][loss] for loss in products)
        first += f", SGD's tuned rates by {tuned:.0f}, and rate times gradient norm by {apart:.0f}: {told}"
    others = [f"{_factor(own.values()):.0f} under {name}" for name, own in rates.items() if name != "sgd"]
    return f"{first}. The tuned rates of optimizers that divide by the gradient differ by {answer.listed(others)}."


def _factor(values: Iterable[float]) -> float:
    found = [*values]
    return max(found) / min(found)


VIEWS: Mapping[str, Sequence[Callable[[Sequence[Row]], Section]]] = {
    "sizes": (literature_view, sizes_view),
    "gradient": (gradient_view,),
    "students": (simple_view("students", "Students", "student", "The teacher is the ConvNet."),),
    "refinement": (refinement_view,),
    "length": (length_view,),
    "augmentation": (simple_view("augmentation", "Augmentation", "augmentation"),),
    "search": (search_view,),
    "teacher": (teacher_view,),
}
