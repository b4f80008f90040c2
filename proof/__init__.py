"""How it is tried: simulator with ground truth, verification, demo."""
