"""Declares the networks and their licenses, and obtains their files.

``manifest`` declares them, ``fetch`` finds or downloads and verifies files, ``convert`` rewrites
foreign graphs as ONNX, ``samples`` does the same for the demo clips. No module here runs a network.
"""
