"""Give memory back to the system."""

import ctypes
import gc
import sys


def give_back():
    """Return what is free to the system, where the C library offers it (glibc, so on Linux).

    A training and its graph leave holes between what lives on. The C library keeps them for later use, some tens of
    megabytes with each training.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
