"""Crosscheck: compares a candidate with a reference, operator by operator, on a user's own graph and inputs.

    api, backend                 entry points: a graph and its inputs; the backend `crosscheck`
    check                        from a graph to a report
    calls ► layouts, poison      copies of a call: other strides, gaps and fresh memory poisoned
    process_state                what a call may leave changed of the process
    sizes, gradients             a call of other sizes, and one with what autograd makes of it
    reference, tolerance         the right result, in float64, and how far a result may be from it
    candidates                   what is checked: torch's operators, a device, a dtype, a compiler
    compare ► sweep              one call through every variation
    walk ► bisection ► shrink    a graph's calls; the first that goes wrong; the smallest call that still does
    text, sources, objects       values, the needed part of modules, functions and other objects as source text
    script, surrounding, report  what the user gets

Nothing here knows how a graph was captured.
"""
