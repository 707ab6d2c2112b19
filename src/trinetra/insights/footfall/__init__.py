"""Footfall of the site: passages through its doors, groups, visitors, and staff candidates."""
