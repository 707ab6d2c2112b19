"""Health of services: the metrics of this process, or of others by HTTP."""
