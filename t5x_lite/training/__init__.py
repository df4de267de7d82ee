"""The training job: state, step, loop, hooks, writers."""
