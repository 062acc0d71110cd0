"""Studies: grids of cells, their results on disk, subsets of classes, and live curves."""
