"""What the pages say: that it is true, and that it can be typed."""
