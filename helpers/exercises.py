"""Checks for the notebooks' exercises: right, wrong (with a hint), or not tried yet.

A check works out the truth by its own means, from data or from a formula; no answer is stored.
"""

_CHECKS = {}


def exercise(number):
    """Register a check under a number such as "02.1".

    The check takes the answer and returns None where it is right, or a hint, a string.
    """

    def register(function):
        _CHECKS[number] = function
        return function

    return register


def numbers():
    """Numbers of all exercises, sorted."""
    return sorted(_CHECKS)


def check(number, answer, *context):
    """Say whether an answer is right.

    Args:
        number: of the exercise, such as "02.1".
        answer: the reader's; ``...`` means not tried yet.
        *context: what the check needs from the notebook, as the exercise's cell passes it.

    Returns:
        True (right), False (wrong) or None (not tried yet).

    Raises:
        KeyError: no such exercise.
    """
    if number not in _CHECKS:
        raise KeyError(f"there is no exercise {number!r}; known are {', '.join(sorted(_CHECKS))}.")
    if answer is ...:
        print(f"Exercise {number}: not tried yet. Replace the ... above and run the cell again.")
        return None
    try:
        hint = _CHECKS[number](answer, *context)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        hint = f"the check could not use it: {error}"
    print(f"Exercise {number}: right." if hint is None else f"Exercise {number}: not yet: {hint}")
    return hint is None
