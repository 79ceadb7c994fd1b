"""The figures: one short module each; the machinery that makes them lies above."""
