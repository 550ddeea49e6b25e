"""What is in the zoo: each entry's name, recipe and seeds."""

from dataclasses import dataclass

from splinelab import data
from splinelab.errors import ZooError, closest
from splinelab.training import Recipe


@dataclass(frozen=True)
class Entry:
    """One kind of net. `seeds` are those that ship; `snapshot` marks a moment of another entry's run."""

    name: str
    about: str
    recipe: Recipe
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    snapshot: str | None = None


_LONG = Recipe()
_ORDINARY = Recipe(batch=64, steps=320)  # 20 epochs of 16 batches
_FULL = Recipe(  # 20 epochs of 938 batches
    dataset="mnist-train", train_images=None, batch=64, steps=18_760, evaluations=25
)
_CONVOLUTIONAL = _ORDINARY.replace(  # 16 epochs of 63 batches
    train_images=4_000, net="cnn", sizes=(784, 96, 48, 10), loss="cross-entropy", steps=1_008, evaluations=16
)
_GROKKING = Recipe(
    scale=6.0, lr=3e-3, weight_decay=0.5, decay_from_accuracy=0.999, batch=100, steps=3_800, evaluations=60
)
# The second data set has 300 training images of 64 pixels. Chosen by the curves of accuracy alone.
_SMALL = Recipe(dataset="digits", train_images=300, sizes=(64, 64, 64, 64, 10))
_DIGITS_ORDINARY = _SMALL.replace(batch=8, steps=760)  # 20 epochs of 38 batches
_DIGITS_TRIED = (
    "Tried for G and U: three layers of 40, 48, 52, 56 or 64 units, two of 48, 56 or 64; weights × 4 to 12; "
    "lr .001, .003, .01; batches of 10 to 300. Narrower nets with large weights take long to memorise, and "
    "some seeds never do."
)

_ALL = (
    Entry("G", "delayed generalisation: large weights, weight decay once all is memorised", _GROKKING),
    Entry(
        "G-slow",
        "G with a tenth of its learning rate, for 1,000 epochs",
        _GROKKING.replace(lr=3e-4, steps=10_000),
    ),
    Entry(
        "G-dropout", "G with dropout of .1, for 1,000 epochs", _GROKKING.replace(dropout=0.1, steps=10_000)
    ),
    Entry("G-memorised", "G at the step where weight decay sets in", _GROKKING, snapshot="memorised"),
    Entry("GA-mse", "long training, mean squared error", _LONG),
    Entry("GA-ce", "long training, cross-entropy", _LONG.replace(loss="cross-entropy")),
    Entry(
        "GCE",
        "large weights, cross-entropy, strong weight decay",
        Recipe(scale=8.0, loss="cross-entropy", weight_decay=1.0, batch=100, steps=4_000),
    ),
    Entry("N-mse", "ordinary training for 20 epochs, mean squared error", _ORDINARY),
    Entry("N-ce", "ordinary training for 20 epochs, cross-entropy", _ORDINARY.replace(loss="cross-entropy")),
    Entry(
        "U",
        "1,000 epochs from large weights, too little weight decay: memorises, never generalises",
        Recipe(scale=6.0, batch=200, steps=5_000),
    ),
    Entry(
        "N4k-mse",
        "ordinary training on 4,000 images; trained live in seconds, does not ship",
        _ORDINARY.replace(train_images=4_000, steps=1_260),  # 20 epochs of 63 batches
        seeds=(),
    ),
    Entry(
        "CNN",
        "a small CNN with batch norm and max-pooling, 16 epochs of 4,000 images, cross-entropy",
        _CONVOLUTIONAL,
        (0, 1, 2),
    ),
    Entry(
        "RES",
        "a small residual CNN with batch norm, 16 epochs of 4,000 images, cross-entropy",
        _CONVOLUTIONAL.replace(net="residual-cnn", sizes=(784, 10), lr=2e-3),
        (0, 1, 2),
    ),
    Entry(
        "full-mse", "the source's ordinary net: 20 epochs of all of MNIST, mean squared error", _FULL, (0,)
    ),
    Entry(
        "full-ce",
        "the source's ordinary net: 20 epochs of all of MNIST, cross-entropy",
        _FULL.replace(loss="cross-entropy"),
        (0,),
    ),
    Entry(
        "full-long",
        "the recipe of GA on all of MNIST, for 100 epochs",
        _FULL.replace(batch=50, steps=120_000, evaluations=40),
        (0,),
    ),
    Entry(
        "omnigrok",
        "the budget of Omnigrok: 1,000 images of MNIST, weights × 8, 100,000 steps in float64",
        Recipe(
            dataset="mnist-train",
            sizes=(784, 200, 200, 10),
            scale=8.0,
            batch=200,
            steps=100_000,
            dtype="float64",
            evaluations=60,
        ),
        (0,),
    ),
    Entry(
        "digits-G",
        "delayed generalisation on digits, with the large weights and late weight decay of G. "
        + _DIGITS_TRIED,
        _SMALL.replace(scale=6.0, weight_decay=0.5, decay_from_accuracy=0.99, steps=12_000, evaluations=60),
    ),
    Entry("digits-GA-mse", "the recipe of GA-mse on digits; nothing else was tried", _SMALL),
    Entry(
        "digits-GA-ce",
        "the recipe of GA-ce on digits; nothing else was tried",
        _SMALL.replace(loss="cross-entropy"),
    ),
    Entry(
        "digits-GCE",
        "the recipe of GCE on digits; nothing else was tried",
        _SMALL.replace(scale=8.0, loss="cross-entropy", weight_decay=1.0, batch=100, steps=4_000),
    ),
    Entry(
        "digits-N-mse",
        "ordinary training on digits for 20 epochs, mean squared error; batches of 8, as those of 64 and 16 "
        "leave training images unlearnt (lr .003 with batches of 16 would do as well)",
        _DIGITS_ORDINARY,
    ),
    Entry(
        "digits-N-ce",
        "ordinary training on digits for 20 epochs, cross-entropy; batch as in digits-N-mse",
        _DIGITS_ORDINARY.replace(loss="cross-entropy"),
    ),
    Entry(
        "digits-U",
        "1,000 epochs on digits from large weights, too little weight decay: memorises, never generalises. "
        "Weights × 7, since × 6 end near half right. " + _DIGITS_TRIED,
        _SMALL.replace(scale=7.0, batch=25, steps=12_000),
    ),
)


def entries() -> dict[str, Entry]:
    """All entries by name.

    >>> entries()["GA-mse"].recipe.weight_decay
    0.01
    """
    return {item.name: item for item in _ALL}


def entry(name: str) -> Entry:
    """The entry called `name`; an unknown name raises `ZooError` and names the closest."""
    known = entries()
    if name not in known:
        hint = closest(name, known)
        raise ZooError(f"the zoo has no entry {name!r}; {hint}It has {', '.join(known)}")
    return known[name]


def seeds(name: str) -> tuple[int, ...]:
    """The seeds of an entry that ship.

    >>> seeds("G")
    (0, 1, 2, 3, 4)
    """
    return entry(name).seeds


def recipe(name: str, *, dataset: str | None = None, steps: int | None = None) -> Recipe:
    """The recipe of an entry, or its cut-down version for live training on other data or a small budget.

    Another `dataset` brings its own input size and number of protocol images.

    >>> recipe("GA-mse", dataset="digits", steps=500).sizes
    (64, 200, 200, 200, 10)
    """
    found = entry(name).recipe
    if dataset is not None and dataset != found.dataset:
        images = data.load(dataset)
        found = found.replace(
            dataset=dataset,
            sizes=(images.flat.shape[1], *found.sizes[1:]),
            train_images=len(data.protocol_split(images).train),
        )
    return found if steps is None else found.replace(steps=steps)
