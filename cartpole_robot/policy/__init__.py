"""The policy: its bundle, and everything else that decides a duty."""

from cartpole_robot.policy.bundle import load_policy as load_policy
