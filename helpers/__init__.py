"""Latent Wardrobe: the one package the notebooks import."""

from helpers import course  # noqa: F401  first of all: it sets threads and starts Keras quietly
