"""What a controller scores in the form in which others report theirs."""
