"""Running the checks: in this process or in one of its own, with limits of time."""
