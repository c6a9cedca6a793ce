"""From a job to its pictures: encode, denoise, decode."""
