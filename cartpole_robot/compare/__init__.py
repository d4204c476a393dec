"""How far a simulation is from the cart that was recorded, and which of its terms is to blame."""
