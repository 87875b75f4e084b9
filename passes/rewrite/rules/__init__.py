"""The rules that are shipped, and the order in which they are applied.

`STANDARD` holds for every graph, training included. `FROZEN` adds what is only worth its while, or only
right, when parameters are finite and do not change: computations of parameters alone are then made once.
`FINITE` may be added to either where no NaN and no infinity comes, which its rules may lose or spread.
"""

from __future__ import annotations

from typing import Final

from passes.rewrite.pipeline import Pass
from passes.rewrite.rules.activations import ACTIVATIONS, LOG_SOFTMAX
from passes.rewrite.rules.attention import ATTENTION, FILLED_ATTENTION
from passes.rewrite.rules.cleanup import COMMON, DEAD_CODE, FOLDING
from passes.rewrite.rules.convolutions import CONVOLUTION_NORM
from passes.rewrite.rules.distances import PAIRWISE
from passes.rewrite.rules.frozen import PREPARED
from passes.rewrite.rules.grouped import GROUPED_ATTENTION
from passes.rewrite.rules.linears import MERGED_LINEARS
from passes.rewrite.rules.norms import HALF_RMS_NORM, INSTANCE_NORM, LAYER_NORM, NORMALIZE, RMS_NORM
from passes.rewrite.rules.products import PRODUCTS
from passes.rewrite.rules.redundant import REDUNDANT

CLEANUP: Final[tuple[Pass, ...]] = (COMMON, FOLDING, DEAD_CODE, REDUNDANT)
FUSIONS: Final[tuple[Pass, ...]] = (
    *(LAYER_NORM, RMS_NORM, HALF_RMS_NORM, NORMALIZE, INSTANCE_NORM),
    *(*ACTIVATIONS, *PAIRWISE, *ATTENTION, GROUPED_ATTENTION, *PRODUCTS),
)
"""Sums with products come last: what is left of other patterns contains them."""

STANDARD: Final[tuple[Pass, ...]] = (*CLEANUP, *FUSIONS, REDUNDANT, DEAD_CODE)
FROZEN: Final[tuple[Pass, ...]] = (
    *CLEANUP,
    *FUSIONS,
    *CONVOLUTION_NORM,
    *(MERGED_LINEARS, REDUNDANT, DEAD_CODE, PREPARED),
)
FINITE: Final[tuple[Pass, ...]] = (*FILLED_ATTENTION, LOG_SOFTMAX)
