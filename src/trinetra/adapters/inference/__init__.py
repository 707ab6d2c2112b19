"""Inference engines: OpenVINO and ONNX Runtime."""
