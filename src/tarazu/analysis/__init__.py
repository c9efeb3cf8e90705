"""From a scores table to results.json: cells, rates, the comparison of resource groups, the ruler, the sentence."""
