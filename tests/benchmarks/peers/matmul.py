"""What this computer can do at most: products of large square matrices. Argument: the type of their numbers.

Prints floating-point operations per CPU second, the best of some rounds. TensorFlow multiplies: it uses here
the library that its layers use.
"""

import sys
import time

import tensorflow as tf

SIZE, ROUNDS, TIMES = 2048, 5, 4


def main(dtype):
    a = tf.cast(tf.random.normal((SIZE, SIZE)), dtype)
    product = tf.function(tf.matmul)
    product(a, a)
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            product(a, a)
        best = max(best, 2 * SIZE**3 * TIMES / (time.process_time() - began))
    print(best)


if __name__ == "__main__":
    main(*sys.argv[1:])
