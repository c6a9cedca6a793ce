"""DWPose (Yang et al., arXiv:2307.15880): a detector finds people, and a network the body, hands and face of each."""

from triptych_orchestrator.pixels.preprocessors.pose.dwpose.look import DETECTOR, WHOLE_BODY, look

__all__ = ["DETECTOR", "WHOLE_BODY", "look"]
