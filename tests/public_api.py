"""The README's calls, as a user's checker sees them: mypy reads this file in strict mode, nothing runs it."""

import altair as alt
import numpy as np
import torch
from torch import nn

from splinelab import charts, clustering, data, intervals, mechanisms, nets, polytopes, record, spd, zoo
from splinelab.claims import Notebook
from splinelab.distances import neighbours, pairwise, separability
from splinelab.training import Recipe, fit


def codes(model: nn.Module, images: np.ndarray) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    recording = record(model, images, ignore=("softmax",))
    index, distance = neighbours(recording.codes, k=5, metric="jaccard")
    found: bool = separability(pairwise(recording.codes), index[:, 0]).auc > 0.5
    bits: np.ndarray = recording.codes.bits()
    labels: np.ndarray = clustering.cluster(recording.codes, "kmeans", k=10)
    print(found, bits.shape, labels.shape, recording.output)
    return distance


def boundaries(model: nn.Module, images: np.ndarray) -> int:
    way = polytopes.segment(model.eval(), images[0], images[1], layer="linear2")
    print(way.boundaries, way.crossing_layer, way.crossing_unit)
    return way.regions


def parts(model: nn.Module, batches: list[torch.Tensor]) -> np.ndarray:
    layers = (spd.Matrices("linear*", components=20, gate_units=16, importance=3e-3),)
    recipe = spd.SPDRecipe(spd.SparseFeatures(5, 0.05), layers, (spd.Stage(4000), spd.Stage(500, prune=0.3)))
    found = spd.decompose(model, recipe, seed=0, device="cpu").decomposition
    profiles = mechanisms.profiles_of(found, batches)
    labels: np.ndarray = mechanisms.SpectralMechanisms().fit(profiles).labels_
    return labels


def trained() -> tuple[nn.Module, np.ndarray]:
    images = data.mnist5k()
    print(images.labels, images.checksum, images.name)
    net: nn.Module = zoo.load("N-mse", seed=0)
    print(net, nets.mlp((784, 20, 10), seed=0))
    recipe = Recipe(dataset="mnist5k", sizes=(784, 20, 10), steps=10)
    found = fit(recipe.replace(lr=1e-2), seed=0, checkpoint="run.ckpt")
    return found.net, images.images[:500]


def shown(chart: alt.Chart, values: list[float]) -> None:
    charts.use()
    found = intervals.over_nets(values, seeds=range(len(values)))
    value, low, high = found
    described = charts.describe(chart, "One line that rises")
    charts.figure(described, f"It is {found}.", "A caption", holds=low > 0)
    claims = Notebook("03_my_chapter", committed=False)
    claims.record("mine-1", "a case", intervals.two_level(np.mean, np.zeros((3, 9))), data=data.mnist5k())
    print(claims.save(), value, high)
