"""The schemes: each hides one gateway's vector inside the sum of an agreed set."""
