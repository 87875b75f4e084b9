"""The backend `tiered`: runs eagerly at once, and compiled later if that is right and faster. Avoids slow cold starts.

attempt      a block of code that may raise anything
backend      the factory of the backend: puts the parts together
background   the thread that compiles while it gives way to callers
job          one compilation: a graph, its inputs' metas, torch's modes
program      the state of one graph, from eager to compiled
quiet        tracing in one thread without changing what others run
transport    graphs as JSON, for another process
trial        compares a compiled program with the eager one
worker       the process that compiles
"""
