"""Side-by-side benchmarks. Every figure that counts is a ratio of two measurements of one run."""
