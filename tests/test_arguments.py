"""Arguments that every room takes mean the same everywhere."""

import numpy as np
import pytest
import torch

from splinelab import distances, polytopes, spd, training
from splinelab.errors import InputError
from splinelab.nets import mlp
from splinelab.recording import record

NET = mlp((4, 3, 2), seed=0).double().eval()
X = np.random.default_rng(0).random((6, 4))
RECIPE = spd.SPDRecipe(spd.SparseFeatures(4, 0.5), (spd.Matrices("*", 2, 2, 1.0),), (spd.Stage(1),))

TAKE_A_DEVICE = {
    "record": lambda device: record(NET, X, device=device),
    "segment": lambda device: polytopes.segment(NET, X[0], X[1], device=device),
    "plane": lambda device: polytopes.plane(NET, X[0], X[1], X[2], device=device),
    "pairwise": lambda device: distances.pairwise(X, metric="l2", device=device),
    "pairwise of codes": lambda device: distances.pairwise(record(NET, X).codes, device=device),
    "neighbours": lambda device: distances.neighbours(X, k=1, metric="l2", device=device),
    "blocks": lambda device: next(iter(distances.blocks(X, metric="cosine", device=device))),
    "histogram": lambda device: distances.class_histograms(X, [0, 0, 0, 1, 1, 1], "l2", device=device),
    "fit": lambda device: training.fit(training.Recipe(), 0, device=device),
    "decompose": lambda device: spd.decompose(NET, RECIPE, 0, device=device),
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("call", TAKE_A_DEVICE.values(), ids=TAKE_A_DEVICE)
def test_a_device_that_is_not_there(call):
    for device in ("cuda", "cuda:0"):
        with pytest.raises(InputError, match=rf"device is '?{device}.*cannot be used here.*expected 'cpu'"):
            call(device)
    for device in ("gpu", 3.5):
        with pytest.raises(InputError, match=r"device is .*expected 'cpu'"):
            call(device)


TAKE_A_SEED = {
    "fit": lambda seed: training.fit(training.Recipe(), seed),
    "build": lambda seed: training.build(training.Recipe(), seed),
    "attach": lambda seed: spd.attach(NET, RECIPE, seed),
    "decompose": lambda seed: spd.decompose(NET, RECIPE, seed),
    "train_target": lambda seed: spd.train_target("TMS-5-2", seed),
    "fresh samples": lambda seed: spd.TARGETS["TMS-5-2"].fresh_samples(3, seed=seed),
}


@pytest.mark.parametrize("seed", [-1, 0.5, None, True, "0", 2**63, np.int64(-1)])
@pytest.mark.parametrize("call", TAKE_A_SEED.values(), ids=TAKE_A_SEED)
def test_what_is_no_seed(call, seed):
    with pytest.raises(InputError, match=r"seed is .*expected (a whole number|0 to)"):
        call(seed)
