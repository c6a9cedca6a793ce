"""Pictures under ControlNets."""
