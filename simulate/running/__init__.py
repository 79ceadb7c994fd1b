"""Plans, stores, executors, workers and progress of a simulation."""
