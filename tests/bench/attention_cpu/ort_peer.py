"""ONNX Runtime's MultiHeadAttention (contrib operator, fp32, without mask)."""

import time

import numpy as np


class OrtPeer:
    environment = {}

    def __init__(self, threads):
        import onnx
        import onnxruntime
        self._onnx, self._runtime = onnx, onnxruntime
        self._threads = threads
        self.version = onnxruntime.__version__

    def takes(self, shape, dtype, causal):
        return dtype == "fp32" and not causal and not shape.gqa

    def load(self, shape, inputs):
        # [B, H, S, D] -> [B, S, H * D], the operator's own layout.
        arrays = [np.ascontiguousarray(values.transpose(0, 2, 1, 3)).reshape(
            values.shape[0], values.shape[2], -1) for values in inputs]
        self._session = self._session_of(shape, arrays)
        self._values = [self._runtime.OrtValue.ortvalue_from_numpy(array) for array in arrays]
        self._out = np.empty_like(arrays[0])
        self._out_value = self._runtime.OrtValue.ortvalue_from_numpy(self._out)
        self._binding = self._session.io_binding()
        for name, value in zip("qkv", self._values):
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output("out", self._out_value)
        self._heads = shape.heads

    def _session_of(self, shape, arrays):
        helper, fp32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["out"],
                                domain="com.microsoft", num_heads=shape.heads)
        graph = helper.make_graph(
            [node], "attention",
            [helper.make_tensor_value_info(name, fp32, array.shape)
             for name, array in zip("qkv", arrays)],
            [helper.make_tensor_value_info("out", fp32, arrays[0].shape)])
        model = helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        return self._runtime.InferenceSession(model.SerializeToString(), options,
                                              providers=["CPUExecutionProvider"])

    def run(self, calls):
        """Seconds of a call, mean of `calls` one after the other."""
        begin = time.perf_counter()
        for _ in range(calls):
            self._session.run_with_iobinding(self._binding)
        return (time.perf_counter() - begin) / calls

    def output(self):
        self.run(1)
        batch, tokens, _ = self._out.shape
        values = self._out_value.numpy().reshape(batch, tokens, self._heads, -1)
        return values.transpose(0, 2, 1, 3)


def find(threads):
    """A peer, or text that says why there is none."""
    try:
        return OrtPeer(threads)
    except ImportError as error:
        return str(error)
