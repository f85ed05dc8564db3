"""Speech to text by the Wyoming protocol, with the emotion of what is said.

A recognizer of our own, or a proxy before any other one.
"""
