"""One rollout, one file: its format, the recorder that writes it, the reader, figures and pictures of it."""

from cartpole_robot.recording.reader import read_recording as read_recording
