"""The explorer: a page that turns every knob of a problem, and one for a pilot of one's own.

``state`` says what is shown, ``lines`` computes it, ``charts`` draws it, ``background`` simulates
beside it, ``takeaway`` writes it as code, TOML and a link; the pages only wire these together.
"""
