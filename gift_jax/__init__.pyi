# The public names and where they live; `__init__.py` loads each one when it is first asked for.
from .data.datasets import DatasetSpec, Normalisation, get_dataset
from .data.distilled import DistilledSet, load_distilled, save_distilled
from .data.evaluation import EvaluationSet, load_evaluation
from .data.network_input import to_input
from .data.stored_labels import load_soft_labels
from .errors import GiftError
from .losses import LOSSES, refine_labels
from .models import Model, ModelSpec, create, get_model
from .optim import Optimizer, Schedule
from .rded import RDED, synthesize
from .recipes import Setting, make_recipe, setting_of
from .recipes.recipe import Recipe
from .studies.cells import Cell
from .studies.grid import run_grid
from .task import Task, train
from .teachers.teacher import Teacher, TeacherInfo, load_teacher, save_teacher
from .training.resume import Checkpoints
from .training.train import Run

__all__ = [
    "LOSSES",
    "RDED",
    "Cell",
    "Checkpoints",
    "DatasetSpec",
    "DistilledSet",
    "EvaluationSet",
    "GiftError",
    "Model",
    "ModelSpec",
    "Normalisation",
    "Optimizer",
    "Recipe",
    "Run",
    "Schedule",
    "Setting",
    "Task",
    "Teacher",
    "TeacherInfo",
    "create",
    "get_dataset",
    "get_model",
    "load_distilled",
    "load_evaluation",
    "load_soft_labels",
    "load_teacher",
    "make_recipe",
    "refine_labels",
    "run_grid",
    "save_distilled",
    "save_teacher",
    "setting_of",
    "synthesize",
    "to_input",
    "train",
]
