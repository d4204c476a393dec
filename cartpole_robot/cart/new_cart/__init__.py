"""A builder's parts in, a commented cart file out: what `cartpole-robot carts new` does."""
