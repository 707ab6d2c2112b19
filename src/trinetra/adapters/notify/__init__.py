"""Channels of alerts: webhooks, Apprise and MQTT."""
