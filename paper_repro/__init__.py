"""Reproductions of the paper's figures: experiments, claims, report."""
