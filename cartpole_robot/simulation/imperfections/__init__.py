"""What a real cart has and the ideal virtual cart lacks: one module for each imperfection, and profiles of them."""
