"""Intervals: against scipy, against brute force, and whether they cover what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from splinelab.errors import InputError
from splinelab.intervals import Draws, Interval, exactly, over_nets, range_over_nets, two_level

RUNS = 1000
LEAST = 0.93  # promised at five nets and 500 images


def images_and_nets(rng, nets, images, *, between, shared, own):
    """Numbers nets × images around 0: a part of the net, one of the image that all nets share, the rest.

    The image's part is skewed, as error rates and densities are.
    """
    common = rng.exponential(size=(1, images)) - 1
    return between * rng.normal(size=(nets, 1)) + shared * common + own * rng.normal(size=(nets, images))


@pytest.mark.parametrize(
    ("name", "nets", "spread"),
    [
        ("images", 1, {"between": 0, "shared": 1, "own": 0.5}),
        ("images, five nets that are equal", 5, {"between": 0, "shared": 1, "own": 0}),
        ("nets", 5, {"between": 1, "shared": 0.1, "own": 0.1}),
        ("both", 5, {"between": 0.05, "shared": 1, "own": 0.5}),
        ("both, three nets", 3, {"between": 0.05, "shared": 1, "own": 0.5}),
        ("their interaction", 5, {"between": 0, "shared": 0, "own": 1}),
    ],
)
def test_two_level_intervals_cover_at_500_images(name, nets, spread):
    """Nominal 95 %, at least 93 %, whatever the variance comes from."""
    rng = np.random.default_rng(0)
    found = [
        two_level(np.mean, images_and_nets(rng, nets, 500, **spread), resamples=200, seed=run)
        for run in range(RUNS)
    ]
    covered = np.mean([each.low <= 0 <= each.high for each in found])
    assert covered >= LEAST, name
    assert {each.over for each in found} == {"images" if nets == 1 else "images and nets"}


def test_a_ratio_is_covered_too():
    """Of sums, as the chapters take boundaries per length: 2, whatever the images' sizes are."""
    rng, covered = np.random.default_rng(1), 0
    for run in range(RUNS):
        size = rng.exponential(size=(1, 500)) + 0.1
        counts = 2 * size * (1 + 0.1 * rng.normal(size=(5, 1)) + 0.3 * rng.normal(size=(5, 500)))
        found = two_level(
            lambda a, b: a.sum() / b.sum(), counts, np.repeat(size, 5, axis=0), resamples=200, seed=run
        )
        covered += found.low <= 2 <= found.high
    assert covered / RUNS >= LEAST


@pytest.mark.parametrize("nets", [3, 5])
def test_intervals_over_nets_cover(nets):
    rng = np.random.default_rng(2)
    found = [over_nets(rng.normal(size=nets)) for _ in range(2000)]
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.94


def test_a_percentile_bootstrap_of_few_nets_would_not():
    """Why nets are not drawn: the reason that the module gives, measured."""
    rng = np.random.default_rng(3)
    for nets, most in ((3, 0.8), (5, 0.88)):
        covered = 0
        for _ in range(500):
            values = rng.normal(size=nets)
            drawn = values[rng.integers(nets, size=(400, nets))].mean(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            covered += low <= 0 <= high
        assert covered / 500 < most


def test_over_nets_is_the_t_interval_of_scipy():
    values = np.array([0.4, 0.9, 0.7, 0.65])
    found = over_nets(values, seeds=[3, 1, 4, 5])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.over, found.n, found.seeds, found.freedom) == ("nets", 4, (3, 1, 4, 5), 3)
    assert tuple(found.at(0.8))[1:] == pytest.approx(
        stats.t.interval(0.8, 3, loc=values.mean(), scale=stats.sem(values))
    )
    assert tuple(found.among(10)) == pytest.approx(tuple(found.at(0.995)))


def test_levels_go_there_and_back():
    found = over_nets([1.0, 2.0, 4.0])
    assert tuple(found.at(0.8).at(0.95)) == pytest.approx(tuple(found))
    assert found.at(0.8).level == 0.8
    with pytest.raises(InputError, match="level is 1: expected a share between 0 and 1"):
        found.at(1)


def test_ranges_and_exact_numbers_have_no_level():
    counts = range_over_nets([3, 1, 2, 2])
    assert tuple(counts) == (2, 1, 3) and counts.over == "range" and not counts.confident
    assert counts.among(20) is counts
    four = exactly(4, n=5, seeds=range(5))
    assert tuple(four) == (4, 4, 4) and four.seeds == (0, 1, 2, 3, 4) and four.at(0.5) is four


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 6), st.integers(2, 30), st.integers(0, 999))
def test_a_mean_is_the_sum_of_its_two_variances(nets, images, seed):
    """Of a mean the jackknife is the variance of the nets' means over their number; images by brute force."""
    values = np.random.default_rng(seed).normal(size=(nets, images))
    found = two_level(np.mean, values, resamples=50, seed=seed)
    rng = np.random.default_rng(seed)
    drawn = [values[:, rng.integers(images, size=images)].mean() for _ in range(50)]
    within, between = np.var(drawn, ddof=1), np.var(values.mean(axis=1), ddof=1) / nets
    freedom = (within + between) ** 2 / (within**2 / (min(images, 50) - 1) + between**2 / (nets - 1))
    assert found.freedom == pytest.approx(np.clip(freedom, 1, min(images, 50) - 1))
    half = stats.t.ppf(0.975, found.freedom) * np.sqrt(within + between)
    assert tuple(found) == pytest.approx((values.mean(), values.mean() - half, values.mean() + half))
    by_nets = Draws(values.mean(axis=1), np.repeat(np.array(drawn)[:, None], nets, axis=1), images).interval()
    assert tuple(by_nets) == pytest.approx(tuple(found))


def test_differences_pair_nets_and_images():
    rng = np.random.default_rng(4)
    one = Draws(rng.normal(size=5), rng.normal(size=(40, 5)), 100)
    other = Draws(one.nets + 1, one.drawn + 1, 100)
    assert tuple(other.minus(one).interval()) == pytest.approx((1, 1, 1))
    control = Draws(np.zeros(1), np.zeros((40, 1)), 100)  # pixels, say: one for all nets
    assert tuple(one.minus(control).interval()) == tuple(one.interval())
    assert tuple(one.minus(0.5).interval()) == pytest.approx(np.array(tuple(one.interval())) - 0.5)
    with pytest.raises(InputError, match="one has 5 nets, the other 3: expected as many, or one"):
        one.minus(Draws(np.zeros(3), np.zeros((40, 3)), 100))
    with pytest.raises(InputError, match="one has 40 resamples, the other 10: expected as many"):
        one.minus(Draws(np.zeros(5), np.zeros((10, 5)), 100))


def test_draws_without_a_value_are_left_out():
    """A ratio whose denominator is rarely all zeros."""
    bottom = np.zeros((1, 6))
    bottom[0, 0] = 1
    found = two_level(lambda a, b: a.sum() / b.sum() if b.sum() else np.nan, np.ones((1, 6)), bottom)
    assert np.isfinite(tuple(found)).all() and found.value == 6
    with pytest.raises(InputError, match="there is nothing to measure"):
        two_level(lambda a: np.nan, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_level(np.mean, np.zeros(3)), r"shapes \[\(3,\)\]; expected one shape, nets × images"),
        (lambda: two_level(np.mean), r"shapes \[\]; expected one shape"),
        (lambda: two_level(np.mean, np.zeros((2, 3)), np.zeros((2, 4))), "expected one shape"),
        (lambda: two_level(np.mean, np.zeros((2, 3)), seeds=[0]), "1 seeds and 2 nets: expected one each"),
        (lambda: two_level(np.mean, np.zeros((2, 3)), resamples=1), "resamples is 1"),
        (lambda: two_level(np.mean, np.zeros((2, 3)), seed=-1), "seed is -1"),
        (lambda: over_nets([0.5]), "at least 2 of them, got 1"),
        (lambda: over_nets([0.5, np.nan]), "expected one finite number per net"),
        (lambda: range_over_nets([]), "expected one finite number per net"),
        (lambda: over_nets([1, 2], seeds=[0, 0]), "each seed once"),
        (lambda: Interval(1, 2, 3, "images", 5, (0,), "x", 4.0), "low ≤ value ≤ high"),
        (lambda: Interval(1, 1, 1, "images", 5, (0,), "x", None), "freedom is None"),
        (lambda: Interval(1, 1, 1, "exact", 5, (0,), "x", 3.0), r"freedom is 3\.0"),
        (lambda: Interval(np.nan, 1, 1, "exact", 5, (0,), "x", None), "value is nan"),
        (lambda: Interval(1, 1, 1, "seeds", 5, (0,), "x", None), "over is 'seeds'; expected one of images"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_sentences_and_draws_are_named_and_not_mixed_with_images():
    rng = np.random.default_rng(0)
    values, drawn = rng.normal(size=5), rng.normal(size=(40, 5))
    found = Draws(values, drawn, 300, "sentences").interval(seeds=range(5))
    assert found.over == "sentences and draws" and found.n == 300
    assert found.method == "bootstrap of sentences, variance between draws, t interval"
    assert tuple(found) == tuple(Draws(values, drawn, 300).interval())
    alone = Draws(values[:1], drawn[:, :1], 300, "sentences")
    assert alone.interval().over == "sentences" and alone.minus(1.0).interval().over == "sentences"
    with pytest.raises(InputError, match="one resampled sentences, the other images"):
        alone.minus(Draws(values[:1], drawn[:, :1], 300))
    with pytest.raises(InputError, match="resampled is 'words'"):
        Draws(values, drawn, 300, "words")
