"""Which networks there are, under whose terms, and how their files come to this machine.

``manifest`` declares, ``fetch`` finds or downloads and checks, ``convert`` rewrites foreign graphs
as ONNX, ``samples`` does the same for the demo clips. Nothing here runs a network.
"""
