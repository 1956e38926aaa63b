"""How a function is called: what a person passes, the convention that is found, and calls by it, the same whatever the framework."""
