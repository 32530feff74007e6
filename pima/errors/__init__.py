"""The errors that a person can correct.

Each class's docstring is its message: what happened, what was expected, what to do next. It is
filled from keyword arguments, which are ids, counts, names and codes, never a patient's value.
`exit_code` is that of the process; `code` is written to `runs.error_code` and the JSON output.
"""

from pima.errors.base import *
from pima.errors.extras import *
from pima.errors.failed import *
from pima.errors.later import *
from pima.errors.refused import *
from pima.errors.wrong import *
