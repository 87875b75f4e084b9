"""Learning: rules of operators from their recorded calls, and the trials on the real operators that may refute them.

    study.py          one operator: learn, try to refute, learn again
    run.py            many operators: which are to be studied, what is kept of each study
    search/           from calls to rules: expressions, conditions, cases
    trials/           new inputs for an operator, and what it does with them
    validity/         for which arguments a rule gives an answer
    worker.py         the laboratory: trials in a process that may crash
    study_process.py  studies in a process that may be ended
    engines/          studies handed out to processes, here or on a cluster
    assessment/       what rules say of recorded calls, and how books compare
    fake_kernels/     rules written out for torch.library.register_fake

docs/learning.md tells how a rule is learned, stage by stage.
"""
