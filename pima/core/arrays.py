"""Names for the array types that cross the rooms; each docstring that takes one says its shape."""

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
Int8Array = NDArray[np.int8]
UInt64Array = NDArray[np.uint64]
BoolArray = NDArray[np.bool_]
