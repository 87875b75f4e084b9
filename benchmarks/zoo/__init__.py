"""Programs of public libraries, run plainly, captured by bytegraph and compiled by TorchDynamo.

Each library has a file here with its programs; nothing is installed, and a library that is not there is named and left
out. `python -m benchmarks.zoo` runs them and writes docs/zoo.md.
"""
