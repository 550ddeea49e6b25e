"""Polytope density against double loops, scipy's Welch test and an explicit resampling of images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import ttest_ind

from splinelab.codes import SplineCodes
from splinelab.errors import InputError
from splinelab.polytopes.density import density

STATISTICS = ("intra", "inter", "ratio", "matched")


def example(n=30, seed=0, *, units=23, shift=1.0, classes=3):
    """Bits, activations and classes of images in groups."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    x = rng.normal(size=(n, 4)) + shift * np.eye(max(4, classes))[labels, :4]
    return x @ rng.normal(size=(4, units)) > rng.normal(size=units), x, labels


def naive(bits, x, labels, images, bins, edges=None):
    """Every statistic by loops over the places of `images` (with repeats), the bins' edges, and t-test."""
    pairs = []
    for p in range(len(images)):
        for q in range(p + 1, len(images)):
            i, j = images[p], images[q]
            apart = np.sqrt(sum((a - b) ** 2 for a, b in zip(x[i], x[j], strict=True)))
            if i != j and apart > 0:
                differing = sum(a != b for a, b in zip(bits[i], bits[j], strict=True))
                pairs.append((apart, differing / apart, labels[i] == labels[j]))
    apart, dense, same = map(np.array, zip(*pairs, strict=True))
    edges = np.quantile(apart, np.arange(1, bins) / bins) if edges is None else edges
    weights, ratios = [], []
    for bin_ in range(bins):
        here = np.array([(edges <= d + 1e-9).sum() == bin_ for d in apart])
        if (here & same).any() and dense[here & ~same].any():
            weights.append((here & same).sum())
            ratios.append(dense[here & same].mean() / dense[here & ~same].mean())
    intra, inter = dense[same].mean(), dense[~same].mean()
    values = {
        "intra": intra / dense.mean(),
        "inter": inter / dense.mean(),
        "ratio": intra / inter,
        "matched": np.average(ratios, weights=weights) if ratios else np.nan,
    }
    return values, edges, ttest_ind(dense[same], dense[~same], equal_var=False), (same.sum(), (~same).sum())


def resampled(labels, resamples, seed):
    """The images of each draw, as `density` declares them."""
    rng = np.random.default_rng([seed, 0])
    for _ in range(resamples):
        while True:
            images = rng.integers(len(labels), size=len(labels))
            kinds = {(labels[i] == labels[j]) for i in images for j in images if i != j}
            if len(kinds) == 2:
                yield images
                break


@pytest.mark.parametrize("bins", [1, 3, 20])
def test_values_and_welch_agree_with_a_double_loop(bins):
    bits, x, labels = example()
    x[3], bits[5] = x[7], bits[9]
    found = density(bits, x, labels, bins=bins, resamples=2)
    expected, _, test, counts = naive(bits, x, labels, range(30), bins)
    net = found.nets[0]
    for name in STATISTICS:
        assert getattr(net, name) == getattr(found, name).value == pytest.approx(expected[name], rel=1e-6)
    assert net.welch == pytest.approx((test.statistic, test.df, test.pvalue), rel=1e-5)
    assert (net.intra_pairs, net.inter_pairs) == counts
    assert found.excluded == 1 and sum(counts) == 30 * 29 // 2 - 1
    equal = sum((bits[i] == bits[j]).all() for i in range(30) for j in range(i) if (x[i] != x[j]).any())
    assert net.equal_codes == equal
    assert net.intra * counts[0] + net.inter * counts[1] == pytest.approx(sum(counts))


def test_draws_agree_with_an_explicit_resampling_of_images():
    bits, x, labels = example(n=24, seed=3)
    x[3] = x[7]
    found = density(bits, x, labels, bins=3, resamples=40, seed=5, level=0.9)
    _, edges, _, _ = naive(bits, x, labels, range(24), 3)
    loops = [naive(bits, x, labels, images, 3, edges)[0] for images in resampled(labels, 40, 5)]
    for name in STATISTICS:
        expected = [each[name] for each in loops]
        np.testing.assert_allclose(found.draws[name].drawn[:, 0], expected, rtol=1e-5)
        half = stats.t.ppf(0.95, 23) * np.std(expected, ddof=1)
        value, low, high = getattr(found, name)
        np.testing.assert_allclose([value - low, high - value], half, rtol=1e-4)


def test_a_draw_without_a_pair_of_a_kind_is_drawn_again():
    bits, x, labels = example(n=5, classes=3)
    found = density(bits, x, labels, bins=1, resamples=200)
    assert np.isfinite(found.draws["ratio"].drawn).all()


def test_nets_are_averaged_and_see_the_same_images():
    nets = [example(n=20, seed=s) for s in (1, 2, 3)]
    labels = nets[0][2]
    codes, activations = [net[0] for net in nets], [net[1] for net in nets]
    together = density(codes, activations, labels, resamples=200, bins=3)
    alone = [density(c, x, labels, resamples=200, bins=3) for c, x in zip(codes, activations, strict=True)]
    for name in STATISTICS:
        found = together.draws[name]
        np.testing.assert_allclose(found.drawn, np.hstack([each.draws[name].drawn for each in alone]))
        np.testing.assert_allclose(found.nets, [getattr(each, name).value for each in alone])
        assert tuple(getattr(together, name)) == tuple(found.interval().at(0.99))
    assert together.nets == tuple(a.nets[0] for a in alone)
    assert together.ratio.over == "images and nets" and alone[0].ratio.over == "images"


def test_difference_is_paired():
    bits, x, labels = example(n=40)
    other = bits ^ (np.random.default_rng(9).random(bits.shape) < 0.02)  # nearly the same codes
    one, two = density(bits, x, labels), density(other, x, labels)
    found = one.difference(two, "ratio")
    draws = (one.draws["ratio"].drawn - two.draws["ratio"].drawn).mean(axis=1)
    assert found.value == pytest.approx(one.ratio.value - two.ratio.value)
    half = stats.t.ppf(0.995, 39) * draws.std(ddof=1)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half))
    assert found.high - found.low < 0.7 * (one.ratio.high - one.ratio.low)
    against = one.difference(1, "ratio", level=0.5)
    assert against.value == pytest.approx(one.ratio.value - 1)
    assert against.level == 0.5 and tuple(against.at(0.99)) == pytest.approx(np.array(tuple(one.ratio)) - 1)
    with pytest.raises(InputError, match="resamples"):
        one.difference(density(bits, x, labels, resamples=10))
    with pytest.raises(InputError, match="statistic"):
        one.difference(two, "gap")


def test_welch_believes_more_than_images_tell_and_the_bootstrap_does_not():
    rng = np.random.default_rng(0)
    centres, planes = 0.7 * rng.normal(size=(4, 5)), rng.normal(size=(5, 60))
    labels = np.arange(400) % 4
    found = []
    for _ in range(30):  # fresh images from one population show the true spread
        x = (centres[labels] + rng.normal(size=(400, 5))) * rng.gamma(3, 1 / 3, size=(400, 1))
        found.append(density(x @ planes > 1, x, labels, resamples=50 if len(found) < 5 else 2))
    gaps = [each.intra.value - each.inter.value for each in found]
    by_pairs = np.mean([abs(gap / each.nets[0].welch.t) for gap, each in zip(gaps, found, strict=True)])
    by_images = np.mean([each.draws["intra"].minus(each.draws["inter"]).drawn.std() for each in found[:5]])
    assert by_pairs < 0.7 * np.std(gaps) < 0.7 * 1.1 * by_images


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(6, 25), st.integers(0, 999), st.floats(1e-30, 1e30), st.integers(1, 5))
def test_scale_and_order_do_not_matter(n, seed, scale, bins):
    bits, x, labels = example(n, seed, classes=2)
    found = density(bits, x, labels, bins=bins, resamples=2).nets[0]
    order = np.random.default_rng(seed).permutation(n)
    for other in (
        density(bits, scale * x, labels, bins=bins, resamples=2),
        density(bits[order], x[order], labels[order], bins=bins, resamples=2),
    ):
        other = other.nets[0]
        for name in STATISTICS:
            assert getattr(other, name) == pytest.approx(getattr(found, name), rel=1e-4, nan_ok=True)
    assert found.intra <= 1 <= found.inter or found.inter <= 1 <= found.intra


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.sampled_from([1e-12, 1e-9, 1e-6, 1e-3]))
def test_near_identical_activations_keep_their_distance(seed, step):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 7)) + 1
    x[1] = x[0] + step * rng.normal(size=7)
    x[2] = x[0]
    bits = rng.random((6, 50)) < 0.5
    found = density(bits, x, [0, 0, 1, 1, 0, 1], bins=1, resamples=2)
    expected, _, _, _ = naive(bits, x, [0, 0, 1, 1, 0, 1], range(6), 1)
    assert found.excluded == 1
    assert found.ratio.value == pytest.approx(expected["ratio"], rel=1e-4)


def test_kinds_of_input_agree():
    bits, x, labels = example()
    codes = SplineCodes.from_bits({"a": bits[:, :9], "b": bits[:, 9:]})
    found = density(bits, x, labels)
    image_like = torch.from_numpy(x).view(30, 2, 2).requires_grad_()
    again = density(codes, image_like, list(map(str, labels)))
    assert again.nets == found.nets and again.matched == found.matched


def test_matched_is_none_where_no_bin_holds_both_kinds():
    x = np.array([[0.0], [0.1], [9.0], [9.1]])
    found = density(np.eye(4), x, [0, 0, 1, 1], bins=3)
    assert found.matched is None and np.isfinite(found.ratio.value)


bits, x, labels = example()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((bits, np.ones_like(x), labels), "identical"),
        ((bits, np.where(x > 9, x, np.nan), labels), "NaN"),
        ((bits, x, np.zeros(30)), "class"),
        ((bits, x, np.arange(30)), "same-class"),
        ((bits, x, labels[:9]), "labels"),
        ((bits[:9], x, labels), "samples"),
        ((bits, x[:, 0], labels), "shape"),
        ((np.ones_like(bits), x, labels), "codes are equal"),
        ((bits * 2.5, x, labels), "0 and 1"),
        (([bits, bits], [x], labels), "one entry per net"),
        (([bits, bits], [x, x[:9]], labels), "same images"),
        ((bits, np.repeat(np.eye(3), 10, axis=0), np.repeat([0, 1, 2], 10)), "every same-class pair"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        density(*arguments)


@pytest.mark.parametrize("options", [{"bins": 0}, {"resamples": 1}, {"level": 1.0}])
def test_refused_options(options):
    with pytest.raises(InputError):
        density(bits, x, labels, **options)
