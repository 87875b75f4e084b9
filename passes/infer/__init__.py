"""Inference of rules from recorded calls, and the trials on the real operators that may prove them wrong."""
