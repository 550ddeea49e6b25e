"""The causal check: does removing a cluster harm its own feature, and little else?"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from splinelab._arguments import check_number, check_seed, check_whole
from splinelab.distances.operands import as_array
from splinelab.errors import InputError
from splinelab.mechanisms.labels import whole_numbers
from splinelab.mechanisms.matching import matched_sets

Damage = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class CausalCheck:
    """The harm that each cluster does when it is removed.

    Harm to a feature is the increase of the mean squared error of its output, over the samples where it is
    active. The table has one row per cluster: `cluster`, `size`, `features` (its own, a tuple of outputs);

    - `own`: harm to its own features when it is removed;
    - `everything`: harm to them when every component is removed, the most that any set can do;
    - `random`: mean harm to the same features when matched random sets are removed instead;
    - `floor`: the least that the denominator may be; `floored`: whether it was;
    - `ratio`: own / max(random, floor): where the floor decides it measures no random harm, and ends at about
      1 / `floor_share`;
    - `others`, `worst`: mean and largest harm to another feature when the cluster is removed, and
      `worst_feature`, which one it is (nan, nan and −1 where it owns all);
    - `survival`: when only the cluster is kept, how much of the way from nothing kept (0) to everything kept
      (1) its own features come;
    - `random_size`, `random_norm`, `random_frequency`: size, summed norm and mean frequency of the random
      sets, divided by the cluster's: how well they match.

    Attributes
    ----------
    table : one row per cluster.
    random : cluster → harm of each random set, the whole distribution.
    """

    table: pd.DataFrame
    random: dict[int, np.ndarray]

    @property
    def median_ratio(self) -> float:
        return float(self.table["ratio"].median())

    def failing(self, least: float = 10.0) -> pd.DataFrame:
        """The clusters whose ratio is below `least`, or that have none."""
        return self.table[~(self.table["ratio"] >= least)]

    def __repr__(self) -> str:
        found = f"{len(self.table)} clusters; median ratio {self.median_ratio:.3g}"
        return f"CausalCheck({found}, {len(self.failing())} below 10)"


def causal_check(
    damage: Damage,
    inputs: np.ndarray,
    active: np.ndarray,
    labels: np.ndarray,
    own: Mapping[int, Sequence[int]],
    *,
    norms: np.ndarray,
    frequency: np.ndarray,
    shared: Collection[int] = (),
    sets: int = 20,
    floor_share: float = 0.01,
    seed: int = 0,
) -> CausalCheck:
    """Remove each cluster and see what breaks, next to random sets of alive components that match it.

    Seshadri et al. (section 8) leave ablations of clusters and of random subsets to future work.

    Raises InputError for arrays that do not fit together, and for a feature that is never active.

    Parameters
    ----------
    damage : (kept, inputs) → squared error, samples × outputs, of the model that runs on the components in
        `kept` (N bools) alone; output f is that of feature f.
    inputs : samples × anything; `damage` gets some of its rows.
    active : samples × outputs, bools: whether each feature is active on each sample.
    labels : N clusters, −1 for dead components, which are never kept.
    own : cluster → its own features (`own_features`); clusters that it leaves out are not tested. A mechanism
        that serves all features, such as the output matrices, owns all of them.
    norms : N, how large each component is, such as ‖U‖·‖V‖.
    frequency : N, how often each one fires (`Profiles.frequency`).
    shared : clusters that stay when "only the cluster" is kept, since no feature survives without them;
        "nothing kept" is then these alone.
    sets : random sets per cluster, drawn from `seed`: for every member another alive component of about its
        norm and frequency (`matching.matched_sets`).
    floor_share : the denominator is at least this share of the harm to the own features when every component
        is removed, and at least their error when none is. Without a floor, a random set that never fires on
        those samples would make any cluster look good. At 0.01, a ratio of 10 says that the cluster does at
        least a tenth of the harm that removing everything does.
    """
    labels = whole_numbers(labels)
    sets, seed = check_whole("sets", sets), check_seed(seed)
    active, norms, frequency = map(np.asarray, (active, norms, frequency))
    _check(inputs, active, labels, own, norms, frequency, floor_share)
    alive = labels >= 0
    model = _Model(damage, inputs, active, alive, alive & np.isin(labels, list(shared)), floor_share)
    rows, random = [], {}
    for cluster in sorted(own):
        member = labels == cluster
        drawn = matched_sets(
            np.flatnonzero(member), np.flatnonzero(alive), norms, frequency, sets=sets, seed=(seed, cluster)
        )
        row, random[cluster] = model.without(member, list(own[cluster]), drawn)
        rows.append({"cluster": cluster, **row, **_match(member, drawn, norms, frequency)})
    return CausalCheck(pd.DataFrame(rows), random)


class _Model:
    """The model that runs on some of its components, and its errors with all and with none of them."""

    def __init__(
        self,
        damage: Damage,
        inputs: np.ndarray,
        active: np.ndarray,
        alive: np.ndarray,
        stays: np.ndarray,
        floor_share: float,
    ) -> None:
        self.damage, self.inputs, self.active, self.floor_share = damage, inputs, active, floor_share
        self.alive, self.stays = alive, stays
        self.intact = _errors(damage, alive, inputs, active)
        self.nothing = _errors(damage, np.zeros_like(alive), inputs, active)

    def without(self, member: np.ndarray, features: list[int], drawn: np.ndarray) -> tuple[dict, np.ndarray]:
        """What removing a cluster does, and the harm of each random set in its place."""
        harm = _errors(self.damage, self.alive & ~member, self.inputs, self.active) - self.intact
        mine, least = float(harm[features].mean()), float(self.intact[features].mean())
        # The rest concerns the own features alone, so the samples where one of them is active will do.
        touched = self.active[:, features].any(axis=1)
        some, when = self.inputs[touched], self.active[touched]

        def error(kept: np.ndarray) -> float:
            return float(_errors(self.damage, kept, some, when)[features].mean())

        random = np.array([error(_without(self.alive, chosen)) - least for chosen in drawn])
        chance = float(random.mean()) if len(drawn) else float("nan")
        everything = float(self.nothing[features].mean()) - least
        floor = max(self.floor_share * everything, least)
        bare, alone = error(self.stays & ~member), error(self.stays | member)
        row = {
            "size": int(member.sum()),
            "features": tuple(features),
            "own": mine,
            "everything": everything,
            "random": chance,
            "floor": floor,
            "floored": bool(chance < floor),
            "ratio": _share(mine, max(chance, floor)) if len(drawn) else float("nan"),
            **_elsewhere(harm, features),
            "survival": _share(bare - alone, bare - least),
        }
        return row, random


def _elsewhere(harm: np.ndarray, features: list[int]) -> dict[str, float]:
    """What removing a cluster does to the features that are not its own."""
    others = np.setdiff1d(np.flatnonzero(~np.isnan(harm)), features)
    if len(others) == 0:
        return {"others": float("nan"), "worst": float("nan"), "worst_feature": -1}
    worst = int(others[harm[others].argmax()])
    return {"others": float(harm[others].mean()), "worst": float(harm[worst]), "worst_feature": worst}


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _errors(damage: Damage, kept: np.ndarray, inputs: np.ndarray, active: np.ndarray) -> np.ndarray:
    """For each output its mean squared error over the samples where it is active; nan for none."""
    # Copies: damage may write into them.
    own = inputs.clone() if hasattr(inputs, "clone") else np.array(inputs)
    found = as_array(damage(kept.copy(), own)).astype(np.float64)
    if found.shape != active.shape:
        raise InputError(f"damage gave {found.shape}; expected samples × outputs, {active.shape}")
    if not np.isfinite(found).all():
        raise InputError("damage gave numbers that are not finite")
    counts = active.sum(axis=0)
    sums = np.einsum("so,so->o", found, active.astype(np.float64))
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _without(alive: np.ndarray, members: np.ndarray) -> np.ndarray:
    kept = alive.copy()
    kept[members] = False
    return kept


def _match(
    member: np.ndarray, drawn: np.ndarray, norms: np.ndarray, frequency: np.ndarray
) -> dict[str, float]:
    """Size, norm and frequency of the random sets relative to the cluster's, averaged over the sets."""
    if len(drawn) == 0:
        return dict.fromkeys(("random_size", "random_norm", "random_frequency"), float("nan"))
    return {
        "random_size": drawn.shape[1] / int(member.sum()),
        "random_norm": _share(norms[drawn].sum(axis=1).mean(), norms[member].sum()),
        "random_frequency": _share(frequency[drawn].mean(), frequency[member].mean()),
    }


def _check(
    inputs: Any,
    active: np.ndarray,
    labels: np.ndarray,
    own: Mapping[int, Sequence[int]],
    norms: np.ndarray,
    frequency: np.ndarray,
    floor_share: float,
) -> None:
    if active.ndim != 2 or active.dtype != bool or len(active) != len(inputs) or len(active) == 0:
        raise InputError(
            f"active is {active.dtype} of shape {active.shape}; expected bools, {len(inputs)} × outputs"
        )
    for name, values in (("norms", norms), ("frequency", frequency)):
        if values.shape != labels.shape or labels.ndim != 1 or not (values >= 0).all():
            raise InputError(f"{name} have shape {values.shape}; expected {labels.shape} numbers, at least 0")
    if not check_number("floor_share", floor_share) > 0:
        raise InputError(f"floor_share is {floor_share}; expected a positive number")
    if not own:
        raise InputError("own names no cluster: nothing to test")
    for cluster, features in own.items():
        if cluster < 0 or not (labels == cluster).any():
            raise InputError(f"own names cluster {cluster}, but no component has that label")
        if len(features) == 0 or not all(0 <= feature < active.shape[1] for feature in features):
            raise InputError(
                f"cluster {cluster} owns {tuple(features)}; expected outputs from 0 to {active.shape[1] - 1}"
            )
        silent = [feature for feature in features if not active[:, feature].any()]
        if silent:
            raise InputError(
                f"features {silent} of cluster {cluster} are active on no sample: give more inputs"
            )
