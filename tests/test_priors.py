"""Codes to decode: distributions that are recovered, and ways between two codes."""

import numpy as np
import pytest

from helpers import interpolation, priors


@pytest.fixture(scope="module")
def codes():
    """Correlated codes, far from the origin."""
    matrix = np.array([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, -0.3, 0.1]])
    return (np.random.default_rng(1).standard_normal((4000, 3)) @ matrix.T + [5, -3, 0]).astype("float32")


@pytest.fixture(scope="module")
def clusters():
    """A quarter of the codes around (-6, 0), the rest around (6, 4), narrower."""
    generator = np.random.default_rng(2)
    return np.concatenate([generator.normal([-6, 0], 1, (500, 2)), generator.normal([6, 4], 0.3, (1500, 2))])


def test_standard_normal_is_the_prior():
    z = priors.StandardNormal(3).sample(40_000, seed=1)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.03)


def test_fitted_gaussian_has_the_codes_mean_and_covariance(codes):
    sampler = priors.FittedGaussian(codes)
    z = sampler.sample(100_000, seed=1)
    spread = codes.std(axis=0)
    np.testing.assert_allclose((z.mean(axis=0) - codes.mean(axis=0)) / spread, 0, atol=0.02)
    np.testing.assert_allclose((np.cov(z.T) - np.cov(codes.T)) / np.outer(spread, spread), 0, atol=0.02)
    assert sampler.latent_dim == 3


def test_fitted_gaussian_uses_all_codes(codes):
    moved = np.concatenate([np.zeros((20_000, 1)), np.ones((20_000, 1))])
    assert priors.FittedGaussian(moved).sample(10_000, 1).mean() == pytest.approx(0.5, abs=0.03)


def test_mixture_finds_both_clusters(clusters):
    z = priors.GaussianMixture(clusters, components=2).sample(8000, seed=1)
    left = z[z[:, 0] < 0]
    assert len(left) / len(z) == pytest.approx(0.25, abs=0.03)
    np.testing.assert_allclose(left.mean(axis=0), [-6, 0], atol=0.15)
    np.testing.assert_allclose(z[z[:, 0] > 0].std(axis=0), 0.3, atol=0.03)
    one = priors.FittedGaussian(clusters).sample(8000, seed=1)
    assert (np.abs(one[:, 0]) < 3).mean() > 0.2 > 0.001 > (np.abs(z[:, 0]) < 2).mean()


def test_mixture_mixes_the_order_of_its_components(clusters):
    left = priors.GaussianMixture(clusters, components=2).sample(1000, seed=1)[:, 0] < 0
    assert (np.diff(left.astype(int)) != 0).sum() > 200


def test_dead_units_are_no_obstacle(codes):
    with_dead = np.column_stack([codes, np.zeros(len(codes))])
    assert np.abs(priors.GaussianMixture(with_dead, components=3).sample(100, 1)[:, 3]).max() < 0.01


@pytest.mark.parametrize(
    "build",
    [lambda codes: priors.StandardNormal(3), priors.FittedGaussian, lambda c: priors.GaussianMixture(c, 4)],
    ids=["prior", "gaussian", "mixture"],
)
def test_shape_type_and_seed(codes, build):
    sampler = build(codes)
    first = sampler.sample(50, seed=1)
    assert (first.shape, first.dtype) == ((50, 3), np.float32)
    sampler.sample(7, seed=9)
    np.testing.assert_array_equal(sampler.sample(50, seed=1), first)
    np.testing.assert_array_equal(build(codes).sample(50, seed=1), first)
    assert not np.array_equal(sampler.sample(50, seed=2), first)


def test_mixture_is_fitted_to_the_first_codes_alone(codes):
    strangers = np.concatenate([codes[:500], 1e6 * np.ones((500, 3))])
    few = priors.GaussianMixture(strangers, components=2, max_codes=500)
    np.testing.assert_array_equal(few.sample(20, 1), priors.GaussianMixture(codes[:500], components=2).sample(20, 1))


def test_seed_of_a_mixture_decides_where_its_fit_begins(codes):
    noise = np.random.default_rng(1).uniform(size=(300, 3))
    centres = [priors.GaussianMixture(noise, components=6, seed=seed).sample(2_000, 1) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(centres[0], centres[1])
    assert not np.array_equal(centres[0], centres[2])


def test_seed_of_samples_draws_other_codes_and_not_only_another_order(codes):
    sampler = priors.FittedGaussian(codes)
    first, second = (np.sort(sampler.sample(50, seed)[:, 0]) for seed in (1, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("codes", [np.zeros(50), np.zeros((3, 2)), np.zeros((0, 2))])
def test_too_few_or_misshapen_codes_are_refused(codes):
    with pytest.raises(ValueError, match="expected \\(n, latent_dim\\) with n of 10 or more"):
        priors.GaussianMixture(codes, components=10)


# --------------------------------------------------------------------------------------------------
# Interpolation

START, END = np.array([3.0, 0.0, 0.0]), np.array([0.0, 5.0, 0.0])


@pytest.mark.parametrize("kind", ["straight", "spherical"])
def test_both_ends_belong_to_the_way(kind):
    way = interpolation.interpolate(START, END, 9, kind)
    assert (way.shape, way.dtype) == ((9, 3), np.float32)
    np.testing.assert_allclose(way[[0, -1]], [START, END], atol=1e-6)


def test_straight_way_has_equal_steps():
    steps = np.diff(interpolation.interpolate(START, END, 5), axis=0)
    np.testing.assert_allclose(steps, np.tile((END - START) / 4, (4, 1)), atol=1e-6)


def test_spherical_way_turns_and_lengthens_evenly():
    way = interpolation.interpolate(START, END, 5, "spherical")
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), [3, 3.5, 4, 4.5, 5], rtol=1e-6)
    np.testing.assert_allclose(np.degrees(np.arctan2(way[:, 1], way[:, 0])), [0, 22.5, 45, 67.5, 90], atol=1e-4)
    line = np.linalg.norm(interpolation.interpolate(START, END, 5), axis=1)
    assert (line[1:-1] < np.linalg.norm(way, axis=1)[1:-1] - 0.5).all(), "the line cuts the corner"


@pytest.mark.parametrize(
    "start, end",
    [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([1, 2], [2, 4]), ([1, 2], [-1, -2]), ([1, 2], [1, 2]), ([0, 0], [0, 0])],
    ids=["from origin", "to origin", "same direction", "opposite", "no way", "nowhere"],
)
def test_where_there_is_no_arc_the_way_is_straight(start, end):
    arc = interpolation.interpolate(start, end, 7, "spherical")
    np.testing.assert_allclose(arc, interpolation.interpolate(start, end, 7), atol=1e-6)
    assert np.isfinite(arc).all()


def test_unknown_way_is_refused():
    with pytest.raises(ValueError, match="choose 'straight' or 'spherical'"):
        interpolation.interpolate(START, END, 5, "cubic")
