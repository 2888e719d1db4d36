#!/usr/bin/env bash
# After one tf.data.Dataset.from_generator, NumPy's temporary arrays cost the whole process fresh pages each time. Seen on
# 2026-11-27 with Python 3.11 and 3.13, TensorFlow 2.21.0, NumPy 2.4, glibc 2.36 on Linux.
#
# The C library usually learns how large the arrays are that a program makes and frees, and keeps their memory for the next
# one. The operation behind from_generator tells it, once and for the whole process, to ask the system for every piece of
# 128 KB or more and to return it at once (mallopt, M_MMAP_THRESHOLD, in a function named ApplyPython311MemoryPatch). From
# then on each temporary array of 128 KB or more, of whatever library, is filled with fresh pages by the kernel: a sum of
# two arrays of a megabyte takes about 256 page faults where it took none, and several times as long.
#
# Surprising because an input pipeline changes how a library that has nothing to do with it gets its memory; the patch
# carries the name of Python 3.11 but is applied on 3.13 too, and nothing is said.
# Way round: Dataset.counter().map(...) with tf.numpy_function gives the same elements without that operation; or set the
# threshold again by mallopt afterwards.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/faults.py" <<'PYTHON'
import os
import resource

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf


def faults(times=100):
    """Page faults of a sum of two arrays of a megabyte, the mean of many."""
    a = np.ones(131_072)
    for _ in range(10):
        a + a
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        a + a
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / times


def same(number):
    return number


def by_numpy_function(number):
    return tf.numpy_function(same, [number], tf.int64)


list(tf.data.Dataset.counter().map(by_numpy_function).take(3))
before = faults()
list(tf.data.Dataset.from_generator(lambda: iter(range(3)), output_signature=tf.TensorSpec((), tf.int64)))
after = faults()
print(f"page faults of a sum of two arrays: {before:.0f} before from_generator, {after:.0f} after")
raise SystemExit(not (before < 10 and after > 200))
PYTHON

python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6
"$folder/env/bin/python" "$folder/faults.py" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
