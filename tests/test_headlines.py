"""The headline quantities: each against scikit-learn or scipy, and what the table says of itself."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import ttest_1samp
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, roc_auc_score, silhouette_score

from splinelab import clustering, data, headlines, protocol, zoo
from splinelab.claims import Ledger
from splinelab.errors import InputError
from splinelab.recording import record
from splinelab.training import evaluate

ARMS = ("N-mse", "GA-mse", "U")


@pytest.fixture(scope="module")
def parts():
    return protocol.evaluation_images(data.digits(), 120)


@pytest.fixture(scope="module")
def arms():
    return {arm: [zoo.load_on(arm, "digits", seed) for seed in (0, 1)] for arm in ARMS}


@pytest.fixture(scope="module")
def table(arms, parts):
    scanned = {"N-mse": ["codes", "linear"], "random bits": ["codes"]}
    return headlines.measure(arms, parts, elbows=scanned, ks=range(2, 15), resamples=40)


@pytest.fixture
def find(table):
    def one(quantity, arm, images="held-out"):
        (row,) = table.query("quantity == @quantity and arm == @arm and images == @images").itertuples()
        return row

    return one


def aucs(net, images):
    """ROC-AUC of five comparisons, by scipy and scikit-learn."""
    seen = record(net, images)
    pre, post = seen.stack("pre", output=True).astype(float), seen.stack("post").astype(float)
    different = pdist(images.labels[:, None], "hamming") > 0
    distances = {
        "Jaccard": pdist(post > 0, "jaccard"),
        "Hamming": pdist(post > 0, "hamming"),
        "L2 linear": pdist(pre),
        "cosine linear": pdist(pre, "cosine"),
        "cosine post-ReLU": pdist(post, "cosine"),
    }
    return {name: roc_auc_score(different, distance) for name, distance in distances.items()}


@pytest.mark.parametrize("part", ["training", "held-out"])
def test_leads_against_scikit_learn(find, arms, parts, part):
    expected = [aucs(net, parts[part]) for net in arms["N-mse"]]
    for claim, (one, other) in headlines.LEADS.items():
        row = find(f"ROC-AUC, {one} − {other}", "N-mse", part)
        assert row.claim == claim and row.over == "images and nets" and row.interval.seeds == (0, 1)
        assert row.value == pytest.approx(np.mean([e[one] - e[other] for e in expected]), abs=1e-4)
        assert row.low <= row.value <= row.high


def test_gap_by_hand(find, arms, parts):
    gaps = []
    for net in arms["GA-mse"]:
        bits = record(net, parts["training"]).codes.bits().astype(bool)
        labels, far = parts["training"].labels, pdist(bits, "jaccard")
        different = pdist(labels[:, None], "hamming") > 0
        options = {"method": "inverted_cdf"}
        apart = np.quantile(far[different], 0.05, **options) - np.quantile(far[~different], 0.95, **options)
        gaps.append(apart / far.std())
    assert find("gap, Jaccard", "GA-mse", "training").value == pytest.approx(np.mean(gaps), abs=1e-4)
    more = find("gap, Jaccard", "GA-mse", "training − held-out")
    held = find("gap, Jaccard", "GA-mse").value
    assert more.value == pytest.approx(np.mean(gaps) - held, abs=1e-4)
    assert more.claim == "ours-train-heldout-gap"


def test_clusters_against_scikit_learn(find, arms, parts):
    images, found = parts["held-out"], {"codes": [], "linear": []}
    silhouettes = []
    for net in arms["U"]:
        seen = record(net, images)
        bits = seen.codes.bits().astype(np.float32)
        for view, points in {"codes": bits, "linear": seen.stack("pre", output=True)}.items():
            labels = KMeans(10, n_init=4, random_state=0).fit(points).labels_
            found[view].append(adjusted_rand_score(images.labels, labels))
            if view == "codes":
                silhouettes.append(silhouette_score(bits, labels, metric="hamming"))
    for view, values in found.items():
        assert find(f"ARI at k = 10, {view}", "U").value == pytest.approx(np.mean(values), abs=1e-3)
    lead = find("ARI at k = 10, codes − linear", "U")
    assert lead.value == pytest.approx(np.mean(found["codes"]) - np.mean(found["linear"]), abs=1e-3)
    row = find("silhouette at k = 10, codes", "U")
    assert row.value == pytest.approx(np.mean(silhouettes), abs=1e-4) and row.over == "nets"


def test_number_of_clusters_and_accuracy(find, table, arms, parts):
    codes = [record(net, parts["held-out"]).codes for net in arms["N-mse"]]
    elbows = [clustering.scan_k(code, range(2, 15), n_init=4).elbow for code in codes]
    row = find("k by the elbow, codes", "N-mse")
    assert (row.value, row.low, row.high) == (np.median(elbows), min(elbows), max(elbows))
    assert row.over == "range" and "range" not in set(table[table["quantity"].str.contains("AUC")].over)
    assert not len(table.query("quantity == 'k by the elbow, codes' and arm == 'U'"))
    accuracies = [evaluate(net, parts["held-out"])[1] for net in arms["U"]]
    row = find("accuracy", "U")
    interval = ttest_1samp(accuracies, 0).confidence_interval(0.95)
    assert (row.value, row.low, row.high) == pytest.approx((np.mean(accuracies), *interval))


def test_differences_between_arms(find):
    for quantity, claim in [("ROC-AUC, Jaccard", "spline-6b")]:
        row = find(quantity, "GA-mse − U")
        assert row.claim == claim
        assert row.value == pytest.approx(find(quantity, "GA-mse").value - find(quantity, "U").value)
    row, quantity = find("silhouette at k = 10, codes", "GA-mse − N-mse"), "silhouette at k = 10, codes"
    assert row.value == pytest.approx(find(quantity, "GA-mse").value - find(quantity, "N-mse").value)


def test_random_bits_keep_each_units_rate_and_hold_nothing(find, table, arms, parts):
    codes = record(arms["N-mse"][0], parts["held-out"]).codes
    shuffled = headlines._shuffled(codes, seed=0)
    assert (shuffled.bits().sum(axis=0) == codes.bits().sum(axis=0)).all()
    assert not (shuffled.bits() == codes.bits()).all()
    for name in ("Jaccard", "Hamming"):
        assert find(f"ROC-AUC, {name}", "random bits").value == pytest.approx(0.5, abs=0.02)
    assert find("ARI at k = 10, codes", "random bits").value == pytest.approx(0, abs=0.03)
    theirs = table[table["arm"] == "random bits"]["quantity"]
    assert not theirs.str.contains("linear|ReLU|margin|accuracy").any()


def test_the_table_is_tidy_and_its_claims_are_in_the_ledger(table, parts):
    assert list(table.columns) == headlines.COLUMNS
    assert not table.duplicated(["quantity", "arm", "images"]).any()
    assert set(table["claim"]) - {""} <= set(Ledger.load().claims)
    assert {(each.n, each.seeds) for each in table["interval"]} <= {(120, (0, 1)), (2, (0, 1))}
    assert set(table["over"]) == {"images and nets", "nets", "range"}
    for row in table.itertuples():
        assert tuple(row.interval) == (row.value, row.low, row.high) and row.over == row.interval.over


def test_one_net_has_no_interval_over_nets(arms, parts):
    alone = headlines.measure({"U": arms["U"][:1]}, parts, resamples=10)
    assert set(alone["over"]) == {"images", "range"} and "accuracy" not in set(alone["quantity"])
    with pytest.raises(InputError, match=r"\[1, 2\] nets; expected the same number"):
        headlines.measure({"N-mse": arms["N-mse"], "U": arms["U"][:1]}, parts)
