"""Days, weeks, months and fiscal periods of a shop, its holidays, and what to compare with."""
