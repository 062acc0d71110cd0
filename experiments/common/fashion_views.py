"""The report of the study of Fashion-MNIST: its answer, its statistics, and a section for each smaller question."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import answer, overview, pictures, significance
from gift_jax.reports.page import Section
from gift_jax.reports.significance import Comparison
from gift_jax.reports.tables import Grid, counts, make_grid, markdown_table, name_on
from gift_jax.training.timing import duration

from .fashion_cells import CUSTOMARY_RATE, MAIN, OFFICIAL, SUBJECT, TUNED_RATE, validated
from .fashion_setup import DRAWN, MADE
from .label_gains import HARD, WITH, Accuracies, shares
from .optimizers import customary
from .rate_views import chosen_rates, figure
from .reporting import SPREAD, Row, guessing, only, table

SOURCE = "https://github.com/VICO-UoE/DatasetCondensation, readme.md, Tables 1 and 2"
# Top-1 in percent by images per class, of a ConvNet-3 of width 128 with InstanceNorm and no teacher. Its part about DM
# prints no figure for Fashion-MNIST, nor does the repository of MTT.
LITERATURE: Mapping[str, Mapping[int, float]] = {
    "DC": {1: 70.5, 10: 82.3, 50: 83.6},
    "DSA": {1: 70.6, 10: 84.6, 50: 88.7},
}
ABOUT = f"Top-1 accuracy after the last epoch, %, {SPREAD}."
AT_TUNED = f"Students are trained by `{OFFICIAL}` at the rate that the search chose for the loss."


class Headline(NamedTuple):
    """Its rows at either rate, grids of them, the accuracy of guessing, and GIFT's comparisons in both families."""

    rows: Mapping[str, list[Row]]
    grids: Mapping[str, Grid]
    chance: float
    families: Mapping[str, list[Comparison]]

    @property
    def order(self) -> list[str]:
        """Losses by their mean over the optimizers at tuned rates, best first."""
        grid = self.grids[TUNED_RATE]
        return sorted(grid.rows, key=lambda loss: -_over(grid, loss))


def _over(grid: Grid, loss: str) -> float:
    return statistics.fmean(grid.cells[loss, column].mean for column in grid.columns)


def read_headline(rows: Sequence[Row]) -> Headline:
    """The headline's rows in both views. Args: rows, of all questions."""
    chance = guessing([row for row in rows if name_on_question(row) == "headline"])
    views = {view: only(rows, question="headline", view=view) for view in (CUSTOMARY_RATE, TUNED_RATE)}
    grids = {view: make_grid(own, "loss", "optimizer", guessing=chance) for view, own in views.items()}
    families = {
        view: significance.compare(own, row="loss", column="optimizer", subject=SUBJECT, guessing=chance)
        for view, own in reversed(views.items())
    }
    return Headline(views, grids, chance, families)


def name_on_question(row: Row) -> str:
    """Which question a row answers."""
    return name_on(row, "question")


def primary(headline: Headline, rival: str) -> Comparison:
    """The primary comparison: GIFT minus its rival at tuned rates, each seed's mean over the optimizers."""
    means: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in headline.rows[TUNED_RATE]:
        means[name_on(row, "loss"), row["seed"]].append(figure(row, headline.chance))
    count = len(headline.grids[TUNED_RATE].columns)
    joined = [
        {"labels": {"loss": loss, "over": "all optimizers"}, "seed": seed, "top1_last": statistics.fmean(found)}
        for (loss, seed), found in means.items()
        if loss in (SUBJECT, rival) and len(found) == count
    ]
    [found] = significance.compare(joined, row="loss", column="over", subject=SUBJECT)
    return found


def first_rival(rows: Sequence[Row], headline: Headline) -> str:
    """The other loss of the highest mean validation accuracy at its chosen rates: decided before any test image."""
    _, order = validated(only(rows, question="search"), headline.chance)
    return next(loss for loss in order if loss != SUBJECT)


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The answer first, then what each question gives; what was not run is named."""
    asked = {name_on_question(row) for row in rows}
    if {"search", "headline"} <= asked:
        headline = read_headline(rows)
        rival = first_rival(rows, headline)
        sections = [answer_section(rows, headline, rival), statistics_section(headline, rival)]
    else:
        sections = [Section(answer.TITLE, ["The headline was not run."])]
    sections += [make(rows) for question, makers in VIEWS.items() if question in asked for make in makers]
    missing = [question for question in ("headline", *VIEWS) if question not in asked]
    return [*sections, *([Section("Not run", [f"Not run yet: {', '.join(missing)}."])] if missing else [])]


def answer_section(rows: Sequence[Row], headline: Headline, rival: str) -> Section:
    """One picture, three sentences, one table."""
    lines = {"guessing": headline.chance}
    tested, teacher = 0, only(rows, question="teacher")
    if teacher:
        lines["the whole dataset (the teacher)"] = teacher[0]["top1_last"]
        tested = int(name_on(teacher[0], "test images"))
    grids = headline.grids
    drawn = {"customary": grids[CUSTOMARY_RATE], "tuned": grids[TUNED_RATE], "order": headline.order}
    picture = overview.two_rates("answer", title="Top-1 accuracy by loss and optimizer", lines=lines, **drawn)
    text = " ".join([_primary_words(headline, rival), _cells_words(headline), _noise_words(headline, tested)])
    columns = grids[TUNED_RATE].columns
    header = ["loss", *(f"{name}, {view}" for name in columns for view in grids), "mean, tuned"]
    body = []
    for loss in headline.order:
        cells = [str(grids[view].cells[loss, name]) for name in columns for view in grids]
        body.append([f"`{loss}`", *cells, f"{_over(grids[TUNED_RATE], loss):.1f}"])
    note = (
        f"{ABOUT} The customary rate is fixed beforehand; the tuned one is chosen for each loss and optimizer on "
        "training images that no set holds, by students that are not counted here. The first comparison was stated "
        f"before any student was tested. {counts(grids[TUNED_RATE])} at tuned, {counts(grids[CUSTOMARY_RATE])} at "
        "customary rates."
    )
    return answer.section(picture, text, markdown_table([header, *body]), note)


def _primary_words(headline: Headline, rival: str) -> str:
    c = primary(headline, rival)
    way = "ahead of" if c.difference > 0 else "behind"
    if c.n < 2:
        return f"At tuned rates `{SUBJECT}` is {abs(c.difference):.1f} points {way} `{rival}` (one seed, no interval)."
    low, high = c.interval
    verdict = "beyond noise" if c.p < significance.LEVEL else "within noise"
    return (
        f"At tuned rates, over the {len(headline.grids[TUNED_RATE].columns)} optimizers, `{SUBJECT}` is "
        f"{abs(c.difference):.2f} points {way} `{rival}`, its strongest rival on validation images (95 % interval of "
        f"the difference {low:+.2f} to {high:+.2f}, n = {c.n} seeds, p {significance.p_equals(c.p)}): {verdict}."
    )


def _cells_words(headline: Headline) -> str:
    parts = []
    for view, grid in headline.grids.items():
        leads = answer.leads(grid, SUBJECT)
        won = sum(lead.sign > 0 for lead in leads)
        lost = [f"to `{lead.other}` by {-lead.points:.1f} under {lead.column}" for lead in leads if lead.sign < 0]
        losing = f", losing {answer.listed(lost)}" if lost else ""
        parts.append(f"at {view} rates in {won} of {len(leads)}{losing}")
    return f"By mean it is best {'; '.join(parts)}."


def _noise_words(headline: Headline, tested: int) -> str:
    fair = headline.families[TUNED_RATE]
    counts = [sum(c.verdict == verdict for c in fair) for verdict in ("better", "worse", "undecided")]
    text = (
        f"Of its {len(fair)} differences to other losses at tuned rates, {counts[0]} are beyond noise in its favour, "
        f"{counts[1]} against it, {counts[2]} undecided (paired t-tests by seed, Holm)"
    )
    if not tested:
        return f"{text}."
    mean = _over(headline.grids[TUNED_RATE], SUBJECT)
    error = significance.sampling_error(mean, tested)
    return (
        f"{text}; {tested:,} test images alone leave each accuracy a standard error of {error:.2f} points, and a "
        f"difference one of at most {math.sqrt(2) * error:.2f}."
    )


def statistics_section(headline: Headline, rival: str) -> Section:
    """The comparison that was stated first, and both families with intervals and effect sizes."""
    blocks = []
    if (first := primary(headline, rival)).n > 1:
        about = "The primary comparison, one test: each seed's mean over the optimizers, at tuned rates."
        blocks += [about, markdown_table(significance.comparison_rows([first], "over"))]
    for view, family in headline.families.items():
        about = (
            f"`{SUBJECT}` against each loss under each optimizer at {view} rates: a family of {len(family)} tests, "
            "corrected by Holm. Differences in points, paired by seed; d is the difference in standard deviations of "
            "the paired differences."
        )
        blocks += [about, markdown_table(significance.comparison_rows(family, "optimizer"))]
    return Section("Statistics", blocks, folded=True)


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
            groups[row["labels"].get("images", MAIN), loss].append(figure(row, chance))
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
        own = only(rows, question=question)
        grid = make_grid(own, "loss", column, guessing=guessing(rows))
        return Section(title, [f"{ABOUT} {AT_TUNED} {about}".strip(), table(grid, "loss", worst=None)])

    return view


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
    rates = chosen_rates(own, chance, "optimizer", value="top1_last")
    optimizers = [*dict.fromkeys(name_on(row, "optimizer") for row in own)]
    losses = [*dict.fromkeys(name_on(row, "loss") for row in own)]
    grids = {
        name: sorted({name_on(row, "rate") for row in only(own, optimizer=name)}, key=float) for name in optimizers
    }
    ends = [
        f"`{loss}` under {name}" for (loss, name), rate in rates.items() if rate in (grids[name][0], grids[name][-1])
    ]
    at_end = f"At an end of the grid, so that a wider one may do better: {', '.join(ends)}." if ends else ""
    spoken = "; ".join(f"{name}: {', '.join(grid)} times {_rate(name):g}" for name, grid in grids.items())
    about = (
        "Accuracy on held-out training images after the last epoch decides; the teacher has seen these in its own "
        f"training, the sets hold none. Searched: {spoken}. {at_end or 'No choice is at an end of its grid.'}"
    )
    body = [[f"`{loss}`", *(f"{_rate(name) * float(rates[loss, name]):g}" for name in optimizers)] for loss in losses]
    picture = pictures.panels("search", own, panel="optimizer", line="loss", x="rate", guessing=chance)
    return Section("The chosen rates", [about, markdown_table([["loss", *optimizers], *body]), picture], folded=True)


def _rate(optimizer: str) -> float:
    return customary(optimizer).optimizer.learning_rate


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
    chosen = chosen_rates(searched, guessing(rows), "optimizer", value="top1_last")
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for (loss, name), multiple in chosen.items():
        if loss in norms:
            rates[name][loss] = _rate(name) * float(multiple)
    products = {loss: norms[loss] * rate for loss, rate in rates.get("sgd", {}).items()}
    inverse = math.exp(statistics.fmean(map(math.log, products.values()))) if products else 1.0
    picture = overview.rates_by_gradient("gradients", norms, rates, "Tuned rates and gradients", inverse)
    body = [
        [
            f"`{loss}`",
            f"{norm:.3g}",
            *(f"{own[loss]:g}" for own in rates.values()),
            f"{products.get(loss, math.nan):.3g}",
        ]
        for loss, norm in sorted(norms.items(), key=lambda item: -item[1])
    ]
    header += [*(f"rate, {name}" for name in rates), "SGD's rate x norm"]
    text = _gradient_words(norms, rates, products)
    about = (
        "Norm of the gradient of the mean loss over the whole set in all weights before the first step, mean of seeds."
    )
    return Section("Gradients and rates", [picture, text, markdown_table([header, *body]), about])


def _gradient_words(
    norms: Mapping[str, float], rates: Mapping[str, Mapping[str, float]], products: Mapping[str, float]
) -> str:
    spread = _factor(norms.values())
    first = f"At the start the losses' gradients differ by a factor of {spread:.0f}"
    if products:
        apart = _factor(products.values())
        told = (
            "and the tuned rate makes up for most of that" if apart < math.sqrt(spread) else "and rates do not follow"
        )
        first += (
            f", SGD's tuned rates by {_factor(rates['sgd'].values()):.0f}, and rate times gradient norm by {apart:.0f}"
            f": {told}"
        )
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
    "length": (simple_view("length", "Longer training", "ipc", "Columns are images per class."),),
    "augmentation": (simple_view("augmentation", "Augmentation", "augmentation"),),
    "search": (search_view,),
    "teacher": (teacher_view,),
}
