"""The collector: requests become facts, and a yes is said only when the fact is safe."""
