"""Benchmarks: how good explanations are for the forward passes they take."""
