"""Speed of the native kernel beside what a user would pick instead, as ratios within one run."""
