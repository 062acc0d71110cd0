"""Golden values of a new loss, in plain PyTorch: `python tests/golden/generate_losses.py NAME` adds it to losses.npz.

Write the loss below as its authors do, a mean over the batch. What losses.npz holds already is never written again; a
test compares it with this file.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

FILE = Path(__file__).parent / "losses.npz"


def smoothed(labels, classes, smoothing=0.1):
    return torch.full((len(labels), classes), smoothing / (classes - 1)).scatter(1, labels[:, None], 1 - smoothing)


def ce(student, teacher, labels):
    return F.cross_entropy(student, labels)


def kl(student, teacher, labels, temperature=20):
    log_student, log_teacher = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def softce(student, teacher, labels):
    return F.cross_entropy(student, F.softmax(teacher, dim=1))


def mse(student, teacher, labels):
    return F.mse_loss(student, teacher)


def mse_ce(student, teacher, labels):
    return mse(student, teacher, labels) + 0.1 * ce(student, teacher, labels)


def softce_ce(student, teacher, labels):
    return softce(student, teacher, labels) + 0.1 * ce(student, teacher, labels)


def cosine(student, teacher, labels):
    return 1 - F.cosine_similarity(student, teacher, dim=1).mean()


def gift(student, teacher, labels):
    refined = F.normalize(teacher, dim=1) + 0.1 * F.normalize(smoothed(labels, student.shape[1]), dim=1)
    return cosine(student, refined, labels)


LOSSES = {loss.__name__: loss for loss in (ce, kl, softce, mse, mse_ce, softce_ce, cosine, gift)}


def cases(arrays):
    return sorted({name.partition("/")[0] for name in arrays})


def compute(name, arrays):
    """The loss and its gradient in the student's logits, by case: names and arrays as losses.npz has them."""
    found = {}
    for case in cases(arrays):
        student, teacher, labels = (
            torch.from_numpy(arrays[f"{case}/{key}"]) for key in ("logits", "teacher_logits", "labels")
        )
        student.requires_grad_()
        loss = LOSSES[name](student, teacher, labels)
        loss.backward()
        found |= {f"{case}/{name}/loss": loss.detach().numpy(), f"{case}/{name}/grad": student.grad.numpy()}
    return found


def main(name):
    with np.load(FILE) as file:
        arrays = {key: file[key] for key in file.files}
    added = compute(name, arrays)
    if present := sorted(added.keys() & arrays.keys()):
        raise SystemExit(f"{FILE} has {present[0]} already; golden values are not made again")
    np.savez(FILE, **arrays, **added)
    print(f"added {name} to {len(cases(arrays))} cases of {FILE}")


if __name__ == "__main__":
    main(*sys.argv[1:])
