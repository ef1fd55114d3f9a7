"""Records and scripted patients as if at the bedside."""
