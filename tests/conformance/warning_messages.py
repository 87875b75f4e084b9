"""warnings: raised, caught, turned into errors, filtered."""

from __future__ import annotations

import warnings

from .catalogue import program, raising


@program(may_break=True)
def caught():
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        warnings.warn("careful")
        warnings.warn("old", DeprecationWarning, stacklevel=2)
        warnings.warn(UserWarning("instance", 2))
    return [(w.category.__name__, w.message.args) for w in log]


@program(raising(UserWarning), may_break=True)
def turned_into_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("now an error")


@program(may_break=True)
def ignored():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("unseen")
    return "done"


@program(may_break=True)
def filtered_by_category():
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.warn("a", DeprecationWarning)
        warnings.warn("b", RuntimeWarning)
    return [str(w.message) for w in log]


@program(may_break=True)
def wrong_category():
    try:
        warnings.warn("x", int)
    except TypeError as error:
        return str(error)
