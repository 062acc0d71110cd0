"""Teachers: converted networks with frozen weights, why one scores too low, and which ones are published."""
