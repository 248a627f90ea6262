"""Reading and writing video: true frame times, sampling, and safe decoding. Needs no model stack."""
