"""What is known of a cart: its rigid body, motor, friction, encoders, delay and limits."""
