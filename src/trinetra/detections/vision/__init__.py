"""Images to tensors and tensors to boxes, faces and quality. Pure."""
