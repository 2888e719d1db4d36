"""Keras, started quietly and with the course's threads: whoever computes with it imports it from here."""

from helpers import course

keras = course.start_keras()
layers, ops = keras.layers, keras.ops
