"""datetime: dates and durations of constants are constants; asking what time it is breaks the graph."""

from __future__ import annotations

import datetime

from tracer.interpret.policy import immutable, pure, refuse
from tracer.reasons import CLOCK

immutable(datetime.timedelta)
pure(datetime.timedelta, datetime.date, datetime.datetime)
refuse(CLOCK, vars(datetime.date)["today"], vars(datetime.datetime)["now"], vars(datetime.datetime)["utcnow"])
