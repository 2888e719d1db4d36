"""Checks: right, wrong with a hint, or not tried yet; and no answer makes one fail."""

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support import small_autoencoder, small_vae, tiny_dataset

from helpers import baselines, exercises, metrics
from helpers.dataset import Split
from helpers.machinery.backend import keras

# number: (right answer, or how to find it; {wrong answer: a word of its hint})
PLAIN = {
    "01.1": (
        784 * np.log(2),
        {784: "bits", np.log(2): "one pixel", 1.0: "same", 543: "round less", 544: "round less", -543.4: "the sign"},
    ),
    "04.1": (
        18_496,
        {
            18_432: "bias",
            576: "32 channels",
            903_168: "does not count",
            18_464: "those are 64",
            20_480: "that comes out",
            18_496.5: "whole number",
            3: "64 kernels",
        },
    ),
    "06.1": (10, {10**0.5: "last root", 6: "product", 18: "not the standard", 9: "means say", 2: "trace"}),
    "03.1": (
        0.818147,
        {0.596574: "variance", 0.818147 / np.log(2): "bits", 2.806853: "other way", -0.568147: "sign", -1: "form"},
    ),
}


WRONG = [(number, wrong, word) for number, (_, hints) in PLAIN.items() for wrong, word in hints.items()]


@pytest.mark.parametrize("number", PLAIN)
def test_right_answer(number, capsys):
    assert exercises.check(number, PLAIN[number][0]) is True
    assert capsys.readouterr().out == f"Exercise {number}: right.\n"


@pytest.mark.parametrize("number, wrong, word", WRONG)
def test_wrong_answer_gets_its_hint(number, wrong, word, capsys):
    assert exercises.check(number, wrong) is False
    printed = capsys.readouterr().out
    assert printed.startswith(f"Exercise {number}: not yet: ") and word in printed


@pytest.mark.parametrize("number", exercises.numbers())
def test_dots_mean_not_tried_yet(number, capsys):
    assert exercises.check(number, ...) is None
    assert f"Exercise {number}: not tried yet" in capsys.readouterr().out


GARBAGE = [None, "twelve", object(), [], np.zeros((2, 3)), np.nan, {}]


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("number", exercises.numbers())
def test_no_answer_makes_a_check_fail(number, answer, capsys):
    assert exercises.check(number, answer) is False
    assert "not yet" in capsys.readouterr().out


def test_unknown_number_lists_the_known_ones():
    with pytest.raises(KeyError, match="no exercise '99.9'; known are 01.1"):
        exercises.check("99.9", 1)


def test_numbers_are_sorted_and_name_notebooks():
    assert exercises.numbers() == sorted(exercises.numbers())
    assert {number[:2] for number in exercises.numbers()} >= {"01", "02", "03"}


# --------------------------------------------------------------------------------------------------
# Exercises on data and models: the answer is found here in another way


def test_components_for_most_variance(tiny):
    flat = tiny.train.flat - tiny.train.flat.mean(axis=0)
    squares = np.linalg.svd(flat, compute_uv=False) ** 2
    k = next(k for k in range(1, 785) if squares[:k].sum() >= 0.9 * squares.sum())
    assert [exercises.check("01.2", answer, tiny.train.images) for answer in (k, k - 1, k + 1, 0, 2.5)] == [
        True,
        *[False] * 4,
    ]


def test_worth_of_the_class(tiny, capsys):
    """In float64 from the formula, image by image; the check sums class by class."""

    def with_paper(split):
        images = split.images.copy()
        images[split.labels % 2 == 0, :14] = 0  # what the class tells, and where clipping is felt
        return Split(images, split.labels)

    tiny = dataclasses.replace(tiny, train=with_paper(tiny.train), test=with_paper(tiny.test))
    test, train = tiny.test, tiny.train

    def cost(means, least=1e-6):
        p = np.clip(means.astype("float64"), least, 1 - least)
        return -(test.images * np.log(p) + (1 - test.images) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()

    def of_class(split):
        return np.stack([split.of_class(k).mean(axis=0) for k in range(10)])[test.labels]

    everybody, own = train.images.mean(axis=0)[None], of_class(train)
    gross = cost(everybody) - cost(own)
    worth = gross - np.log(10)
    assert exercises.check("01.3", worth, tiny) is True
    assert exercises.check("01.3", worth + 0.05, tiny) is True
    capsys.readouterr()
    wrong = {
        "the nats that it takes to name": gross,
        "paid before minus what is paid now": -worth,
        "and then the label's ln 10": -gross - np.log(10),
        "makes the saving smaller": gross + np.log(10),
        "counts bits": gross - np.log2(10),
        "sum them": gross / 784 - np.log(10),
        "training images only": cost(everybody) - cost(of_class(test)) - np.log(10),
        "clipped too hard": cost(everybody, 0.01) - cost(own, 0.01) - np.log(10),
        "clip the means": np.inf,
        "is no number": np.nan,
        "compare two costs": worth / 2 + 1,
    }
    for word, answer in wrong.items():
        assert exercises.check("01.3", answer, tiny) is False
        assert word in capsys.readouterr().out, word


def test_components_to_match_an_autoencoder(tiny):
    x_hat = baselines.PCA(tiny.train.images, 5).reconstruct(tiny.test.images)

    class AlmostPCA:
        """In an autoencoder's place: a little better than five components."""

        def reconstruct(self, images):
            return 0.999 * x_hat + 0.001 * images

    assert [exercises.check("02.2", k, tiny, AlmostPCA()) for k in (6, 5, 7)] == [True, False, False]


def test_who_cuts_the_reconstructions_of_pca_is_told_so(tiny, capsys):
    """An error between that of five components as they are and that of the same five cut to [0, 1]."""
    x, x_hat = tiny.test.images, baselines.PCA(tiny.train.images, 5).reconstruct(tiny.test.images)
    raw, cut = (np.square(x - made).mean() for made in (x_hat, x_hat.clip(0, 1)))
    assert cut < raw
    share = np.sqrt((raw + cut) / 2 / raw)
    between = SimpleNamespace(reconstruct=lambda images: x + share * (x_hat - x))
    for answer, told in ((5, True), (3, False), (60, False)):
        assert exercises.check("02.2", answer, tiny, between) is False
        assert ("were cut to [0, 1]" in capsys.readouterr().out) == told


def test_encoder_by_hand(capsys):
    """Right in three spellings; each slip has its hint. The encoder is asked for its sizes only."""
    encoder = small_autoencoder(latent_dim=3, hidden=(5,)).encoder

    def silu(h):
        return h / (1 + np.exp(-h))

    def flat(images):
        return images.reshape(len(images), 784)

    def right(images, weights):
        first, bias, second, shift = weights
        return silu(flat(images) @ first + bias) @ second + shift

    def in_keras(images, weights):
        hidden = keras.activations.silu(keras.ops.matmul(flat(images), weights[0]) + weights[1])
        return keras.ops.matmul(hidden, weights[2]) + weights[3]

    assert exercises.check("02.1", right, encoder) is True
    assert exercises.check("02.1", in_keras, encoder) is True
    assert exercises.check("02.1", lambda x, w: right(x, w).astype("float32"), encoder) is True
    slips = {
        "first layer is missing": lambda x, w: (flat(x) @ w[0] + w[1]) @ w[2] + w[3],
        "no activation": lambda x, w: silu(right(x, w)),
        "this is ReLU": lambda x, w: np.maximum(flat(x) @ w[0] + w[1], 0) @ w[2] + w[3],
        "this is sigmoid": lambda x, w: 1 / (1 + np.exp(-flat(x) @ w[0] - w[1])) @ w[2] + w[3],
        "the biases are missing": lambda x, w: silu(flat(x) @ w[0]) @ w[2],
        "biases of the first": lambda x, w: silu(flat(x) @ w[0]) @ w[2] + w[3],
        "biases of the second": lambda x, w: silu(flat(x) @ w[0] + w[1]) @ w[2],
        "that is the first layer": lambda x, w: silu(flat(x) @ w[0] + w[1]),
        "returns shape (20, 28, 28, 3)": lambda x, w: np.zeros((20, 28, 28, 3)),
        "those that the function is given": lambda x, w: encoder(x),
        "the function itself": right(np.ones((2, 28, 28, 1)), encoder.get_weights()),
    }
    for word, slip in slips.items():
        assert exercises.check("02.1", slip, encoder) is False
        assert word in capsys.readouterr().out, word


def test_noise_to_codes(tiny):
    codes = small_autoencoder(latent_dim=3).encode(tiny.train.images)
    noise = np.random.default_rng(1).standard_normal((400, 3))
    factor = np.linalg.cholesky(np.cov(codes.T))
    mean = codes.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(codes.T))
    white = (noise - noise.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T
    answers = {
        True: [noise @ factor.T + mean, noise @ (axes * np.sqrt(values)).T + mean, white @ factor.T + mean],
        False: [
            noise @ factor + mean,
            noise @ factor.T,
            noise * codes.std(axis=0) + mean,
            noise,
            codes[:2],
            white @ factor.T,
            white @ factor + mean,
            noise**2 @ factor.T + mean,
        ],
    }
    for outcome, group in answers.items():
        assert [exercises.check("02.3", answer, codes, noise) for answer in group] == [outcome] * len(group)


def test_negative_elbo_from_its_parts(tiny, capsys):
    vae, x = small_vae(), tiny.test.images[:20]
    z_mean, z_log_var = vae.encode(x)
    x_hat = vae.decode(z_mean).astype("float64")
    pixels = -(x * np.log(x_hat) + (1 - x) * np.log1p(-x_hat)).reshape(20, -1)
    latents = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var)
    both = pixels.sum(axis=1) + latents.sum(axis=1)
    assert exercises.check("03.2", both.mean(), vae, x) is True
    slips = {"sum over all": both.sum(), "pixels are averaged": pixels.mean() + latents.sum(axis=1).mean()}
    slips |= {"has shape": both, "add the cross-entropy": 0.0}
    slips |= {"drawn from q": metrics.elbo(vae, x, seed=9).negative_elbo.value, "KL is missing": pixels.sum() / 20}
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("03.2", answer, vae, x) is False
        assert word in capsys.readouterr().out


def test_latent_of_ink(capsys):
    vae, ranges = small_vae(), np.array([[-2, 2], [-2, 2]])
    change = []
    for latent in range(2):
        low, high = np.zeros((2, 1, 2))
        low[0, latent], high[0, latent] = ranges[latent]
        change.append(abs(vae.decode(high).mean() - vae.decode(low).mean()))
    right = int(np.argmax(change))
    assert exercises.check("03.3", right, vae, ranges) is True
    assert exercises.check("03.3", 1 - right, vae, ranges) is False
    assert exercises.check("03.3", 2, vae, ranges) is False
    capsys.readouterr()
    assert exercises.check("03.3", right + 0.9, vae, ranges) is False
    assert "whole number" in capsys.readouterr().out


def kl_of_normals(z_mean, z_log_var, prior_mean=0, prior_log_var=0):
    distance = (np.exp(z_log_var) + (z_mean - prior_mean) ** 2) / np.exp(prior_log_var)
    return 0.5 * (distance - 1 - z_log_var + prior_log_var).sum(axis=1)


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (kl_of_normals, "right"),
        (lambda m, v, a, b: kl_of_normals(a, b, m, v), "other way round"),
        (lambda m, v, a, b: kl_of_normals(m, 2 * v, a, 2 * b), "variance itself"),
        (lambda m, v, a, b: kl_of_normals(m, v), "N(0, 1) only"),
        (lambda m, v, a, b: -kl_of_normals(m, v, a, b), "never negative"),
        (lambda m, v, a, b: kl_of_normals(m, v, a, b) / 4, "not averaged"),
        (lambda m, v, a, b: kl_of_normals(m, v, a, b).mean(), "shape ()"),
        (lambda m, v, a, b: 0.5 * ((np.exp(v) + (m - a) ** 2) / np.exp(b) - 1 - v + b), "one by one"),
        (lambda m, v, a, b: m[:, 0], "many draws"),
        (lambda m, v: kl_of_normals(m, v), "could not use it"),
    ],
)
def test_a_kl_that_is_written_is_tried_on_random_inputs(function, word, capsys):
    assert exercises.check("03.4", function) is (word == "right")
    assert word in capsys.readouterr().out


def test_sigma_that_fits(tiny, capsys):
    vae, x = small_vae(), tiny.test.images[:20].copy()
    x[:, :, :9] = 0  # paper
    error = x.astype("float64") - vae.reconstruct(x)
    sigma = np.sqrt(np.square(error).mean())
    assert exercises.check("04.2", sigma, vae, x) is True
    slips = {"variance": sigma**2, "mean absolute": np.abs(error).mean(), "average over them": 28 * sigma}
    slips |= {"from 0 to 255": 255 * sigma, "garments alone": np.sqrt(np.square(error[x > 0]).mean())}
    slips |= {"has shape": np.ones(20), "derivative": 7.0}
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("04.2", answer, vae, x) is False
        assert word in capsys.readouterr().out


def test_latents_that_suffice(tiny):
    class OneLatentCounts:
        """Three latents; the second alone says the picture, and has the largest KL."""

        latent_dim = 3

        def encode(self, images):
            ink = np.asarray(images).mean(axis=(1, 2, 3))
            ink = ink - ink.mean()
            return np.stack([0 * ink, 20 * ink, 0.1 * ink], axis=1), np.zeros((len(ink), 3))

        def decode(self, z):
            return np.broadcast_to(0.5 + z[:, 1, None, None, None] / 20, (len(z), 28, 28, 1))

    images = tiny.test.images[:20] * np.linspace(0.1, 1, 20, dtype="float32")[:, None, None, None]
    flat = images.mean(axis=(1, 2, 3), keepdims=True) * np.ones_like(images)
    answers = {1: True, 0: False, 2: False, 1.9: False, 0.5: False, -1: False, 4: False}
    assert {k: exercises.check("04.3", k, OneLatentCounts(), flat) for k in answers} == answers


def stamp(small, kernel, stride, put=lambda old, new: old + new):
    size = len(kernel)
    canvas = np.zeros([stride * (n - 1) + size for n in small.shape])
    for (row, column), value in np.ndenumerate(small):
        place = canvas[stride * row : stride * row + size, stride * column : stride * column + size]
        place[:] = put(place, value * kernel)
    return canvas


def by_keras(small, kernel, stride):
    filters = kernel[:, :, None, None]
    return keras.ops.conv_transpose(small[None, :, :, None], filters, stride, padding="valid")[0, :, :, 0]


def spoils_its_kernel(small, kernel, stride):
    found = stamp(small, kernel, stride)
    kernel *= 2
    return found


STAMPS = {
    "in NumPy": (stamp, None),
    "by Keras": (by_keras, None),
    "as lists": (lambda *given: stamp(*given).tolist(), None),
    "overwritten": (lambda *given: stamp(*given, put=lambda old, new: new), "stamps add up"),
    "flipped": (lambda small, kernel, stride: stamp(small, kernel[::-1, ::-1], stride), "flipped"),
    "transposed": (lambda small, kernel, stride: stamp(small, kernel.T, stride), "transposed"),
    "not multiplied": (lambda small, kernel, stride: stamp(np.ones_like(small), kernel, stride), "times its pixel"),
    "stride forgotten": (lambda small, kernel, stride: stamp(small, kernel, 1), "the last stamp ends at"),
    "doubled": (lambda *given: 2 * stamp(*given), "numbers differ"),
    "in place": (spoils_its_kernel, "canvas of zeros"),
    "raising": (lambda small: small, "could not use it"),
    "called": (np.zeros((8, 8)), "function itself"),
}


@pytest.mark.parametrize("answer, word", STAMPS.values(), ids=STAMPS)
def test_transposed_convolution_by_stamps(answer, word, capsys):
    assert exercises.check("04.4", answer) is (word is None)
    assert (word or "right") in capsys.readouterr().out


BASE = {
    "model": "dense_vae",
    "arguments": {"latent_dim": 10, "hidden": [64]},
    "recipe": {"epochs": 1},
    "data": {"slug": "tiny"},
}


def sweep_by_loops(keep_others=True, copied=True, numbers=(1, 2, 3)):
    """The sweep that 05.1 asks for, or one with a slip."""
    found, shared = [], copy.deepcopy(BASE)
    for size in (5, 20):
        for rate in (0.001, 0.002):
            for seed in numbers:
                config = copy.deepcopy(BASE) if copied else shared
                config["arguments"] = {**(BASE["arguments"] if keep_others else {}), "latent_dim": size}
                config["recipe"] = {**BASE["recipe"], "learning_rate": rate}
                config["seed"] = seed
                found.append(config)
    return found


def test_sweep_of_ones_own_may_be_written_in_any_order(capsys):
    configs = sweep_by_loops()
    for answer in (configs, configs[::-1], tuple(configs)):
        assert exercises.check("05.1", answer, BASE) is True
    unseeded = [{name: config[name] for name in BASE} for config in configs[::3]]
    outside = [{**BASE, "latent_dim": size, "seed": 1} for size in (5, 20)]
    rate_outside = [{**BASE, "learning_rate": rate, "seed": 1} for rate in (0.001, 0.002)]
    slips = {
        "no seed": unseeded,
        "belongs into the dict 'arguments'": outside,
        "belongs into the dict 'recipe'": rate_outside,
        "'hidden' of 'arguments' in base is gone": sweep_by_loops(keep_others=False),
        "changed again and again": sweep_by_loops(copied=False),
        "there are 8 different": sweep_by_loops(numbers=(1, 2)),
        "there are 11 different": [*configs[1:], configs[1]],
        "is a list of configurations": configs[0],
        "each of them is a dict": [1, 2],
    }
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("05.1", answer, BASE) is False
        assert word in capsys.readouterr().out
    assert BASE["recipe"] == {"epochs": 1}, "the check leaves the base alone"


PAIRS = pd.DataFrame(
    {
        "variant": ["a", "b"] * 3,
        "seed": [1, 1, 2, 2, 3, 3],
        "validation_negative_elbo": [9.0, 9.2, 9.4, 9.3, 9.5, 9.9],
    }
)
DIFFERENCES = np.array([-0.2, 0.1, -0.4])
ERROR = DIFFERENCES.std(ddof=1) / np.sqrt(3)


def test_half_width_of_a_difference(capsys):
    assert exercises.check("05.2", 4.302653 * ERROR, PAIRS.sample(frac=1, random_state=1), "a", "b") is True
    slips = {"many seeds": 1.96 * ERROR, "standard error": ERROR, "subtract": 7.0}
    slips |= {"no sign": -4.302653 * ERROR, "whole interval": 2 * 4.302653 * ERROR}
    slips |= {"ddof=1": 4.302653 * DIFFERENCES.std() / np.sqrt(3), "root of the number": 4.302653 * np.sqrt(3) * ERROR}
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("05.2", answer, PAIRS, "a", "b") is False
        assert word in capsys.readouterr().out


def test_seeds_that_settle_it(capsys):
    """Mean .167, spread .252: the interval with 11 seeds is .169 to each side, with 12 it is .160."""
    halves = {n: stats.t.ppf(0.975, n - 1) * np.sqrt(3) * ERROR / np.sqrt(n) for n in (11, 12)}
    assert halves[12] < 1 / 6 < halves[11]
    assert exercises.check("05.3", 12, PAIRS, "a", "b") is True
    slips = {"still holds 0": 3, "narrower": 99, "t is larger": 9, "whole number": 12.9, "at least two": 1}
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("05.3", answer, PAIRS, "a", "b") is False
        assert word in capsys.readouterr().out


def interval_leaves_out_0(changes, quantile=None):
    """A verdict by hand; the quantiles are those of a printed table of Student's t."""
    table = {3: 4.302653, 5: 2.776445, 8: 2.364624}
    half = (quantile or table[len(changes)]) * np.sqrt(np.var(changes, ddof=1) / len(changes))
    return abs(np.mean(changes)) > half


def test_verdict_on_a_condition(capsys):
    assert exercises.check("05.4", lambda here, there: interval_leaves_out_0(here - there)) is True
    assert exercises.check("05.4", lambda here, there: bool(stats.ttest_rel(there, here).pvalue < 0.05)) is True
    slips = {
        "two verdicts are compared": lambda here, there: interval_leaves_out_0(here) != interval_leaves_out_0(there),
        "one is larger": lambda here, there: False,
        "does not matter": lambda here, there: interval_leaves_out_0(here - there) and here.mean() > there.mean(),
        "seed by seed": lambda here, there: stats.ttest_ind(here, there).pvalue < 0.05,
        "1.96 is for many": lambda here, there: interval_leaves_out_0(here - there, 1.96),
        "n - 1 degrees": lambda here, there: interval_leaves_out_0(here - there, 4.302653),
        "True or False": lambda here, there: (here - there).mean(),
        "without calling it": True,
    }
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("05.4", answer) is False
        assert word in capsys.readouterr().out


def test_precision_by_hand(capsys):
    rng = np.random.default_rng(1)
    real, made = rng.normal(size=(40, 2)), rng.normal(size=(50, 2)) * 2
    to_real, among = (np.linalg.norm(part[:, None] - real, axis=2) for part in (made, real))

    def covered(k):
        return (to_real <= np.sort(among, axis=1)[:, k]).any(axis=1).mean()

    assert exercises.check("06.2", covered(3), real, made) is True
    assert covered(2) != covered(3), "or the hint below could not be tested"
    radii = np.sort(np.linalg.norm(made[:, None] - made, axis=2), axis=1)[:, 3]
    recall = (radii >= to_real.T).any(axis=1).mean()
    slips = {"its own nearest": covered(2), "that is recall": recall, "outside": 1 - covered(3)}
    slips |= {"percentage": 100 * covered(3), "any of these balls": -1}
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("06.2", answer, real, made) is False
        assert word in capsys.readouterr().out


@pytest.fixture
def thief(monkeypatch):
    """A data set, and exercise 06.3 with a toy for a judge: pale pictures are good ones, and grey ones are copies."""
    dataset = tiny_dataset(train=520, validation=20, test=1000)

    def judge(pictures, judged_with, garment_classifier):
        assert garment_classifier == "garment_classifier"
        assert np.array_equal(judged_with.test.images, dataset.test.images[500:])
        return {
            "frechet_distance": metrics.Estimate(float(pictures.mean()), 0.0),
            "memorisation": metrics.Estimate(4 * float(np.abs(pictures - 0.5).mean()), 0.0),
        }

    class Dark:
        def sample(self, n, seed):
            return np.full((n, 28, 28, 1), 0.7, dtype="float32")

    monkeypatch.setattr(metrics, "judge_samples", judge)
    return dataset, lambda answer: exercises.check("06.3", answer, dataset, "garment_classifier", Dark())


def test_better_thief_changes_pixels(thief):
    assert thief[1](lambda images: images**3) is True


def test_thief_that_is_no_better_is_told_why(thief, capsys):
    dataset, tried = thief
    known = dataset.train.images[:500]

    def upright(images):
        return np.array_equal(images, known)

    def hand_out(pictures):
        return lambda images: pictures if upright(images) else pictures[:, ::-1]

    wrong = [
        ("not the pictures", known),
        ("500 pictures", lambda images: images[:9]),
        ("clip", lambda images: 2 * images),
        ("do not depend", lambda images: np.full_like(images, 0.9)),
        ("test or validation image", hand_out(dataset.test.images[:500])),
        ("test or validation image", hand_out(dataset.validation.images[np.arange(500) % 20])),
        ("model of garments", lambda images: images**3 if upright(images) else 0.2 * images),
        ("for copies", lambda images: 0.45 + 0.1 * images),
        ("Fréchet distance", lambda images: 1 - 0.1 * images),
    ]
    for word, answer in wrong:
        capsys.readouterr()
        assert tried(answer) is False
        assert word in capsys.readouterr().out, word


class Panels:
    """A decoder by hand: each latent sets the ink of three rows to half of itself plus a half, the rest stays white."""

    latent_dim = 2

    def decode(self, z):
        images = np.zeros((len(z), 28, 28, 1), "float32")
        for latent in range(2):
            images[:, 10 * latent : 10 * latent + 3] = (0.5 + np.asarray(z)[:, latent] / 2).reshape(-1, 1, 1, 1)
        return images

    def code(self, images):
        return np.asarray(images)[:, [0, 10], 0, 0] * 2 - 1


def rejected(capsys, number, wrong, *context):
    """Each wrong answer of a dict {word: answer} is refused with a hint that holds the word."""
    for word, answer in wrong.items():
        capsys.readouterr()
        assert exercises.check(number, answer, *context) is False, word
        assert word in capsys.readouterr().out


def test_top_slider(tiny, capsys):
    class Three:
        """The KL of the latents, one image in two at mean m and else at 0: a quarter of m squared."""

        is_variational, latent_dim = True, 3

        def encode(self, images):
            mean = np.zeros((len(images), 3), "float32")
            mean[::2] = 1, 3, 2
            return mean, np.zeros_like(mean)

    assert exercises.check("07.1", 1, Three(), tiny.test.images[:20]) is True
    wrong = {"z[2] has 1 latents above": 2, "z[0] has 2": 0, "0 to 2": 3, "latents are numbered": 1.5}
    rejected(capsys, "07.1", wrong, Three(), tiny.test.images[:20])


def test_boot_from_one_latent(capsys):
    """Of two training garments the boot has ink in the upper rows, the sneaker in the lower ones."""
    train = Split(np.rint(255 * Panels().decode([[1, -1], [-1, 1]])).astype("uint8"), np.array([9, 7]))
    start, ranges = np.array([-1.0, -0.2], "float32"), np.array([[-1, 1], [-1, 1]])
    assert exercises.check("07.2", [0.9, -0.2], Panels(), start, ranges, train) is True
    wrong = {"0 latents moved": start, "2 latents moved": [0.9, -1], "z[0] goes from -1.00 to 1.00": [1.2, -0.2]}
    wrong |= {"its class is 7": [-1, 0.5], "finite numbers": [np.nan, 0.3]}
    rejected(capsys, "07.2", wrong, Panels(), start, ranges, train)


def test_hole_near_a_garment(capsys):
    """Codes are -1 or 1, so a spread is 1. Garments have ink at the foot, which no code draws: all pictures are far."""
    garments = Panels().decode(np.array([[-1.0, -1.0], [1.0, 1.0]] * 5))
    garments_with_feet, start = garments.copy(), np.array([-1.0, -1.0])
    garments_with_feet[:, 25:] = 1
    context = Panels(), start, garments_with_feet  # [0, -1]: root of (3 rows of .25 and 3 of 1, over 28) is .366
    assert exercises.check("07.3", [0, -1], *context) is True
    rejected(capsys, "07.3", {"z[0] is 1.50 spreads away": [0.5, -1], "give one code": [0.0]}, *context)
    rejected(capsys, "07.3", {"a garment is 0.115 away": [-0.3, -1]}, Panels(), start, garments)
    rejected(capsys, "07.3", {"z[1] is 1.50 spreads away": np.zeros(2)}, Panels(), np.array([-1.0, -1.5]), garments)


def test_region_of_one_latent(capsys):
    codes, ranges = np.zeros((4, 2)), np.array([[-1, 1], [-0.3, 0.3]])  # ink moves by 1 in the upper rows, by .3 below
    region = np.zeros((28, 28), bool)
    region[0, :12] = True
    context = Panels(), codes, ranges, 0
    assert exercises.check("07.4", region, *context) is True
    assert exercises.check("07.4", region[..., None].astype(int).tolist(), *context) is True
    few, blank, both, other = np.zeros((4, 28, 28))
    few[0, :7] = blank[20] = both[0, :10] = both[10, :24] = other[10] = 1
    wrong = {
        "7 pixels": few,
        "changes the ink there by 0.00": blank,
        "z[1] by 0.21": both,
        "an array (28, 28)": region[0],
    }
    rejected(capsys, "07.4", wrong | {"True at its": region * 0.5}, *context)
    rejected(capsys, "07.4", {"z[1] changes the ink there by 0.21, z[0] by 0.29": both}, Panels(), codes, ranges, 1)
    assert exercises.check("07.4", other, Panels(), codes, ranges, 1) is True
