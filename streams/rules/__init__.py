"""What is a conversion, by numbered rules: decide.py says them in order, the others have one each. Pure."""
