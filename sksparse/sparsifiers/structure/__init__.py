"""Units, the layers that they connect, and what a mask leaves of them."""
