"""Stateful stream consumption: processors, their runner, retries and dead letters."""
