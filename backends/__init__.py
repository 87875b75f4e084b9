"""Backends: what runs a captured graph. Knows nothing of capture.

    handover     what a backend is, and the form in which it receives a graph
    registry     backends by name: own, registered, installed, torch's
    eager        replay: the graph as one flat Python function
    aot          what AOTAutograd needs to know
    aot_eager    the backend of that name
    inductor     torch's compiler
    tiered/      eager at once, compiled later if that is right and faster
    crosscheck/  every operator compared with a float64 reference
    gradients    gradients compared with slopes (slopes)
    cases        a graph with inputs and results on disk, to be replayed
    observed     the graph that a call of a captured function runs

docs/backends.md says how they are used, docs/howto/backend.md how to add one.
"""
