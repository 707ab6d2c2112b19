"""Rules: which events and facts call for a notice; pure."""
