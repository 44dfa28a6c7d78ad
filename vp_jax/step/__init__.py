"""One step: pure functions of state, frozen parts and batch."""
