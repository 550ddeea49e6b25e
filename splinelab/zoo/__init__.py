"""Trained nets and decompositions that ship with the book, each with its card, and nets of others; language
models with their tokenizers."""

from splinelab.zoo.decompositions import (
    decompose,
    decomposed,
    decomposition,
    decomposition_card,
    toy_model,
)
from splinelab.zoo.language import LanguageModel, language_model, language_model_at_hand
from splinelab.zoo.other_data import load_on, name_on, recipe_on
from splinelab.zoo.recipes import Entry, entries, entry, recipe, seeds
from splinelab.zoo.store import WEIGHTS, card, load, table, untrained
from splinelab.zoo.story_model import story, story_card, story_text, train_story, untrained_story
from splinelab.zoo.third_party import pretrained, pretrained_at_hand
from splinelab.zoo.tokens import Tokenizer, Tokens, story_tokenizer
from splinelab.zoo.train import heldout, train, train_seeds, training_images

__all__ = [
    "WEIGHTS",
    "Entry",
    "LanguageModel",
    "Tokenizer",
    "Tokens",
    "card",
    "decompose",
    "decomposed",
    "decomposition",
    "decomposition_card",
    "entries",
    "entry",
    "heldout",
    "language_model",
    "language_model_at_hand",
    "load",
    "load_on",
    "name_on",
    "pretrained",
    "pretrained_at_hand",
    "recipe",
    "recipe_on",
    "seeds",
    "story",
    "story_card",
    "story_text",
    "story_tokenizer",
    "table",
    "toy_model",
    "train",
    "train_seeds",
    "train_story",
    "training_images",
    "untrained",
    "untrained_story",
]
