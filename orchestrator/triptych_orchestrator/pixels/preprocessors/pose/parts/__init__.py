"""Hands and faces: where a body has them, and what CMU's networks make of each."""

from triptych_orchestrator.pixels.preprocessors.pose.parts.faces import face_of
from triptych_orchestrator.pixels.preprocessors.pose.parts.hands import hand_of
from triptych_orchestrator.pixels.preprocessors.pose.parts.network import PartNetwork
from triptych_orchestrator.pixels.preprocessors.pose.parts.squares import Square, face_square, hand_squares

__all__ = ["PartNetwork", "Square", "face_of", "face_square", "hand_of", "hand_squares"]
