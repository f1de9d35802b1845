"""Traces step by step, as data for the trace explorer in a browser.

A trace is played on the reference, operation by operation (`watching`) or event by event
(`following`); at every effect it is noted what is in memory, what both devices hold, durable and
pending (`contents`, `memory`), and what a crash would leave and recovery make of it (`failing`).
`document` puts it together.  The page computes nothing of this: it shows it.
"""
