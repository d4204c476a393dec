"""The rigid body of the cart-pole: `cartpole.urdf`, installed as the resources of `cartpole_robot.urdf`."""
