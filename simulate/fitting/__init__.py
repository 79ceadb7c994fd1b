"""One job: minimise the training loss, for many subsets and ridges at once."""
