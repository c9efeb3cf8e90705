"""The statistics: numpy and scipy only. Rates are in percent, effects in points."""
