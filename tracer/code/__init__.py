"""Bytecode: reading it in canonical form, analysing it, and assembling continuations and trampolines."""
