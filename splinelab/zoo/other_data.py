"""The arms of MNIST-5k on other data: nets of the zoo where they ship, trained and kept where they do not."""

import math

from torch import nn

from splinelab import data
from splinelab._arguments import check_seed
from splinelab.training import Recipe, build, fit
from splinelab.zoo.recipes import entries, entry, recipe
from splinelab.zoo.store import load

CHECKPOINT_EVERY = 2000  # steps


def name_on(name: str, dataset: str) -> str | None:
    """The zoo's entry for an arm on a data set, or None where it has none.

    >>> name_on("GA-mse", "digits"), name_on("GA-mse", "mnist5k"), name_on("GA-mse", "fashion-train")
    ('digits-GA-mse', 'GA-mse', None)
    """
    if entry(name).recipe.dataset == dataset:
        return name
    return f"{dataset}-{name}" if f"{dataset}-{name}" in entries() else None


def recipe_on(name: str, dataset: str) -> Recipe:
    """The recipe of an arm on a data set: the zoo's own, or that of `name` with other images.

    >>> recipe_on("U", "digits").scale
    7.0
    """
    own = name_on(name, dataset)
    return recipe(own) if own else recipe(name, dataset=dataset)


def load_on(name: str, dataset: str, seed: int = 0, *, steps: int | None = None) -> nn.Sequential:
    """The net of an arm, `"GA-mse"` and so on, on a data set: one that ships, or trained for `steps`.

    Without `steps` a net that does not ship is trained by its whole recipe, once: the finished run stays in
    the folder `nets` of `SPLINELAB_CACHE`, and an interrupted one goes on from there. With `steps`, for
    a look, a net that does not ship is trained anew. `"untrained"` is GA-mse before its first step.
    """
    seed = check_seed(seed)
    if name == "untrained":
        return build(recipe_on("GA-mse", dataset), seed).eval()
    own = name_on(name, dataset)
    if own and seed in entry(own).seeds:
        return load(own, seed)
    wanted = recipe_on(name, dataset)
    if steps is not None:
        return fit(wanted.replace(steps=min(steps, wanted.steps), evaluations=2), seed).net
    kept = data.cache_folder("nets") / f"{dataset}-{name}-{seed}.ckpt"
    every = math.gcd(wanted.steps, CHECKPOINT_EVERY)  # divides the steps, so the last one is kept
    return fit(wanted, seed, checkpoint=kept, checkpoint_every=every).net
