"""Samples to beats: resampling, filters, the online QRS detector, signal quality, measurements."""
