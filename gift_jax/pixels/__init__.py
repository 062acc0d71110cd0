"""What happens to pixels on the device: augmentation, boxes cut out and resized, and the resampling under both."""
