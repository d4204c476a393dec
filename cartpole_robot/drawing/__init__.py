"""Pictures of a cart-pole: one state, or an episode as an animation."""
