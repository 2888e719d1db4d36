"""Checks: right, wrong with a hint, or not tried yet; and no answer makes one fail."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support import small_autoencoder, small_vae, tiny_dataset

from helpers import baselines, exercises, metrics

# number: (right answer, or how to find it; {wrong answer: a word of its hint})
PLAIN = {
    "01.1": (784 * np.log(2), {784: "bits", np.log(2): "one pixel", 1.0: "same"}),
    "02.1": (223_586, {222_176: "bias", 111_410: "encoder alone", 7: "eight layers"}),
    "04.1": (18_496, {18_432: "bias", 576: "32 channels", 903_168: "does not count", 3: "64 kernels"}),
    "05.1": (20, {40: "side by side", 1200: "seconds", 4: "five seeds", 7: "count the trainings"}),
    "06.1": (10, {10**0.5: "last root", 6: "product", 18: "not the standard", 9: "means say", 2: "trace"}),
    "03.1": (0.818147, {0.596574: "variance", 0.818147 / np.log(2): "bits", -1: "closed form"}),
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


def test_worth_of_the_class(tiny):
    def cost(x, mean):
        return np.array([metrics.bernoulli(image[None].repeat(2, 0), mean[None].repeat(2, 0)).value for image in x])

    test, train = tiny.test, tiny.train
    without = cost(test.images, train.images.mean(axis=0)).mean()
    known = np.concatenate([cost(test.of_class(k), train.of_class(k).mean(axis=0)) for k in range(10)]).mean()
    worth = without - known - np.log(10)
    assert exercises.check("01.3", worth, tiny) is True
    assert exercises.check("01.3", without - known, tiny) is False
    assert exercises.check("01.3", -worth, tiny) is False


def test_components_to_match_an_autoencoder(tiny):
    x_hat = baselines.PCA(tiny.train.images, 5).reconstruct(tiny.test.images)

    class AlmostPCA:
        """In an autoencoder's place: a little better than five components."""

        def reconstruct(self, images):
            return 0.999 * x_hat + 0.001 * images

    assert [exercises.check("02.2", k, tiny, AlmostPCA()) for k in (6, 5, 7)] == [True, False, False]


def test_noise_to_codes(tiny):
    codes = small_autoencoder(latent_dim=3).encode(tiny.train.images)
    noise = np.random.default_rng(1).standard_normal((400, 3))
    factor = np.linalg.cholesky(np.cov(codes.T))
    mean = codes.mean(axis=0)
    answers = {
        True: [noise @ factor.T + mean],
        False: [noise @ factor + mean, noise @ factor.T, noise * codes.std(axis=0) + mean, noise, codes[:2]],
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
    for word, answer in slips.items():
        capsys.readouterr()
        assert exercises.check("03.2", answer, vae, x) is False
        assert word in capsys.readouterr().out


def test_latent_of_brightness():
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


def test_sigma_that_fits(tiny, capsys):
    vae, x = small_vae(), tiny.test.images[:20]
    error = x.astype("float64") - vae.reconstruct(x)
    sigma = np.sqrt(np.square(error).mean())
    assert exercises.check("04.2", sigma, vae, x) is True
    slips = {"variance": sigma**2, "mean absolute": np.abs(error).mean(), "average over them": 28 * sigma}
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
    assert [exercises.check("04.3", k, OneLatentCounts(), flat) for k in (1, 0, 2)] == [True, False, False]


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
    for word, answer in {"still holds 0": 3, "narrower": 99, "t is larger": 9}.items():
        capsys.readouterr()
        assert exercises.check("05.3", answer, PAIRS, "a", "b") is False
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
