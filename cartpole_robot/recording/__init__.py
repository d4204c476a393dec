"""Recordings, one file per rollout: format, recorder, reader, summary and plot."""

from cartpole_robot.recording.reader import read_recording as read_recording
