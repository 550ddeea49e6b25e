"""Trained nets and decompositions that ship with the book, each with its card, and nets of others."""

from splinelab.zoo.decompositions import (
    decompose,
    decomposed,
    decomposition,
    decomposition_card,
    toy_model,
)
from splinelab.zoo.other_data import load_on, name_on, recipe_on
from splinelab.zoo.recipes import Entry, entries, entry, recipe, seeds
from splinelab.zoo.store import WEIGHTS, card, load, table, untrained
from splinelab.zoo.third_party import pretrained, pretrained_at_hand
from splinelab.zoo.train import heldout, train, train_seeds, training_images

__all__ = [
    "WEIGHTS",
    "Entry",
    "card",
    "decompose",
    "decomposed",
    "decomposition",
    "decomposition_card",
    "entries",
    "entry",
    "heldout",
    "load",
    "load_on",
    "name_on",
    "pretrained",
    "pretrained_at_hand",
    "recipe",
    "recipe_on",
    "seeds",
    "table",
    "toy_model",
    "train",
    "train_seeds",
    "training_images",
    "untrained",
]
