"""The customer log as services consume it, and their part in erasing a customer."""
