"""The parameters of a cart: rigid body, motor, friction, encoders, delay and limits."""
