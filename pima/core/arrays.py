"""Names for the array types that cross the rooms; each docstring that takes one says its shape.

They speak to readers and to the type checker. A run with nothing to do would spend a fifth of its time on importing
numpy, so numpy is imported only by what makes arrays.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Float64Array = NDArray[np.float64]
    Int64Array = NDArray[np.int64]
    Int16Array = NDArray[np.int16]
    Int8Array = NDArray[np.int8]
    UInt64Array = NDArray[np.uint64]
    BoolArray = NDArray[np.bool_]
else:
    Float32Array = Float64Array = Int64Array = Int16Array = Int8Array = UInt64Array = BoolArray = Any
