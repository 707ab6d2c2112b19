"""Alert service: turns events into notices that people handle, and delivers them."""
