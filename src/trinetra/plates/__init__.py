"""License plates as text: patterns of countries, votes over readings, and comparison."""
