"""A folder for PYTHONPATH: what Python processes started by a recorded program find there."""
