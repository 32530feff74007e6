"""Names for the array types that cross the rooms; each docstring that takes one says its shape.

They are for readers and the type checker. Importing numpy would take a fifth of the time of a run
with nothing to do, so only code that makes arrays imports it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Float64Array = NDArray[np.float64]
    Int64Array = NDArray[np.int64]
    Int8Array = NDArray[np.int8]
    UInt64Array = NDArray[np.uint64]
    BoolArray = NDArray[np.bool_]
else:
    Float32Array = Float64Array = Int64Array = Int8Array = UInt64Array = BoolArray = Any
