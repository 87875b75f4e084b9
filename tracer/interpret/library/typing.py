"""typing: what the `isinstance` of a protocol asks about the class of the protocol is constant."""

from __future__ import annotations

import typing

from tracer.interpret.policy import pure

for _name in ("_get_protocol_attrs", "_is_callable_members_only"):
    if hasattr(typing, _name):
        pure(getattr(typing, _name))
