"""Measurements of bytegraph against eager and TorchDynamo; `python -m benchmarks` runs them all."""
