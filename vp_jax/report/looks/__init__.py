"""Where a model looks: what moves its answer, and what its tokens attend to."""
