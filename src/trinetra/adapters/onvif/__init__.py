"""ONVIF: finds cameras in the network, and asks them for their streams."""
