"""Calls that repeat an earlier one are not interpreted: what that one did is done again, with other names.

A template is what one call of a function added to the trace: nodes, guards, values of objects from outside, and its
result. Two calls of one function are interpreted and compared; if the second is a renaming of the first, later calls
that fit are instantiated. What it rests on, and what it knows:

    arguments   Tensors of the trace with their metas, containers born in it, literals, and objects from outside. The
                objects from outside in which two calls differ are roots.
    reads       Facts from outside are guards, so that what a call depended on below its roots is in their rows. Rows
                of other paths hold already, as nothing outside has been changed. Rows below the roots are tested on
                the live objects before anything is added; so is that each object is met for the first time, or for
                the second, where it was before: that is what interpretation asks of identity.
    roots       An object that code also reaches from elsewhere (a global, a closure) has the same path there. Two calls
                with other roots that are renamings of each other do not reach them so: nothing has changed in between.
    nodes       The same operators on renamed nodes, and so the same metas and predictions; names are counted on.
    result      Tensors, literals, objects from outside, and tuples, lists and dicts of those.

There is no template for a call that changes an object, writes to a tensor, enters a mode, draws from Python, makes a
symbol, is given or returns anything else (a generator, a function, an instance born in the trace), handles an exception
of its caller, or leaves any other part of the trace different. Nor is one used where a handler is around the call that
was not before. All that means interpretation.

    signature.py   the arguments of a call, and whether those of another are like them
    marks.py       where a trace stands when a call begins or ends
    remains.py     what a call leaves behind, whatever its caller does with it
    blueprint.py   a template: what a call added, as far as it is known below its roots
    comparison.py  whether one call is a renaming of another
    fitting.py     whether live objects fit a template
    building.py    doing what a template says
    calls.py       which calls are recorded, compared, and instantiated
"""
