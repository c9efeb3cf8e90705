"""Statistics with numpy and scipy only. Rates are in percent, and effects in points."""
