"""Poses: the skeletons of the people in a picture, of what OpenPose's body network says of it."""

from triptych_orchestrator.pixels.preprocessors.pose.network import PoseNetwork

__all__ = ["PoseNetwork"]
