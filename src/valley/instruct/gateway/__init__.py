"""Paid calls, once each: a local process between whoever asks and a server that charges.

It owns the connection, the store of raw replies, the rate and the money, and it outlives those who ask.
"""
