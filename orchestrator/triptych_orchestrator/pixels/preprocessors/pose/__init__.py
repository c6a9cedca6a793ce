"""Poses: the people in a picture, of what OpenPose's networks say of it, or DWPose's."""

from triptych_orchestrator.pixels.preprocessors.pose.openpose import FACE, HAND, OpenPose

__all__ = ["FACE", "HAND", "OpenPose"]
