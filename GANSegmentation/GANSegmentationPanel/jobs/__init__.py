"""What runs for the panel and for scripts: a job of several steps, the queue of jobs, and where a step is computed."""
