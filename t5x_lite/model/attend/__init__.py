"""From queries, keys and values to mixtures: one result, computed in several forms."""
