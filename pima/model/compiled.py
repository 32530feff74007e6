"""The compiled form of a model, the only one that scoring reads: LiteRT, ready in a tenth of a
second."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from pima.core.arrays import Float32Array, Float64Array
from pima.logs import quiet_native_code

# The interpreter's buffers grow with the rows of a call. For so many they fit into the cache, which
# takes a sixth less time than 4,000 rows a call. A batch of 20,000 is a multiple, so the buffers
# are not resized within it.
_ROWS_A_CALL = 1_000


class CompiledModel:
    """A model version, loaded for scoring. One thread at a time may call it."""

    def __init__(self, content: bytes) -> None:
        """Parse bytes whose hash was checked by the caller."""
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        with quiet_native_code():
            self._interpreter.allocate_tensors()  # prints the name of its delegate the first time
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._rows = -1

    def probabilities(self, features: Float32Array) -> Float64Array:
        """(n, features) with NaN for missing -> probability of outcome 1, (n,)."""
        result = np.empty(len(features), dtype=np.float64)
        for start in range(0, len(features), _ROWS_A_CALL):
            part = features[start : start + _ROWS_A_CALL]
            if len(part) != self._rows:
                self._interpreter.resize_tensor_input(self._input, part.shape)
                self._interpreter.allocate_tensors()
                self._rows = len(part)
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(part))
            self._interpreter.invoke()
            result[start : start + len(part)] = self._interpreter.get_tensor(self._output)[:, 0]
        return result
