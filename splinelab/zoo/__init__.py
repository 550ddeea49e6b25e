"""Trained nets that ship with the book, each with its provenance card, and how to retrain them."""

from splinelab.zoo.recipes import Entry, entries, entry, recipe, seeds
from splinelab.zoo.store import WEIGHTS, card, load, untrained
from splinelab.zoo.table import table
from splinelab.zoo.train import heldout, require_heldout, train, training_images

__all__ = [
    "WEIGHTS",
    "Entry",
    "card",
    "entries",
    "entry",
    "heldout",
    "load",
    "recipe",
    "require_heldout",
    "seeds",
    "table",
    "train",
    "training_images",
    "untrained",
]
