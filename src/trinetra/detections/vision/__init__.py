"""Vision functions: images to tensors, and tensors to boxes, faces and quality. Pure."""
