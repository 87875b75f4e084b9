"""The backend `tiered`: eager at once, and compiled later if that is right and faster. The answer to cold starts.

The compiler works in another process where the graph can be sent there (`worker.py`), else in a thread
that gives way to callers (`background.py`); what it makes is checked and timed on real calls
(`program.py`, `trial.py`) before it takes eager's place. `backend.py` puts the parts together.
"""
