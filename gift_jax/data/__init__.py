"""Datasets: their specifications, distilled sets and evaluation sets."""
